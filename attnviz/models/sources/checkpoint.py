"""A folder -> a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.checkpoint import Checkpoint, build_model, family_of
from attnviz.models.build.config import Config
from attnviz.models.chat.files import read_template
from attnviz.models.generation import read_generation
from attnviz.models.json_object import read_object
from attnviz.models.model import Model
from attnviz.models.sources.adapter import NONE as NO_ADAPTER
from attnviz.models.sources.adapter import Adapter, Merged, read_adapter
from attnviz.models.sources.card import check_card
from attnviz.models.sources.folder import (
    CONFIG,
    INDEX,
    QUANTISED,
    WEIGHTS,
    base_of,
    is_adapter,
    is_adapter_alone,
    open_weights,
    read_config,
)
from attnviz.models.sources.naming import folder_name
from attnviz.models.sources.sentence_transformers import read_modules, with_embedding
from attnviz.models.tokenizers.files import read_tokenizers
from attnviz.models.tokenizers.names import PIECES, SENTENCE_PIECE, SERIALIZED, WORDS
from attnviz.tokens import label

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
PARTS = ("image_processor", "feature_extractor")
"""Of the latter, which transformers 5 writes: what is done to images, or to sounds."""

GENERATION = "generation_config.json"


def load_checkpoint(
    folder: Path, dtype: str = "float32", name: str | None = None, adapter: str | None = None
) -> Model:
    """The model in a folder, called what it is unless `name` says otherwise.

    Args:
        adapter: the folder of a LoRA adapter, or `none` for none; by default the one that is in
            the folder.
    """
    modules, top = read_modules(folder), folder
    if modules and not (folder / CONFIG).exists():  # in a folder of its own
        folder = modules[0].folder
    base, merged_in, notes = _parts(folder, adapter)
    config = read_config(base)
    fields = Config(_plain(config), str(base / CONFIG))
    family_of(fields)  # before weights are looked for, which would be fetched in vain
    weights = open_weights(base, config)
    if merged_in is not None:
        weights = Merged(weights, merged_in)
        notes = (*notes, weights.note)
    tokenizers = read_tokenizers(folder if _has_tokenizer(folder) else base, config)
    checkpoint = Checkpoint(
        name or folder_name(top, config),
        fields,
        weights,
        tokenizers.source,
        tokenizers.target,
        _read_preprocessor(base),
        read_object(base / GENERATION) if (base / GENERATION).exists() else {},
        dtype,
    )
    model = build_model(checkpoint)
    check_card(base, weights)
    file_name = Path(weights.path).name
    if file_name not in (WEIGHTS, INDEX):
        notes = (*notes, f"its weights are those in {label(file_name)}")
    model = with_embedding(model, modules, top) if modules else model
    return model._replace(
        notes=(*model.notes, *notes),
        chat=read_template(folder) or read_template(base),
        generation=partial(read_generation, base, config),
    )


def _parts(folder: Path, adapter: str | None) -> tuple[Path, Adapter | None, tuple[str, ...]]:
    """The folder of the base, the adapter that is merged into it, and what is to be said."""
    if adapter == NO_ADAPTER:
        if not is_adapter(folder):
            raise AttnvizError(
                f"{folder} holds no adapter that could be left out",
                "adapter=FOLDER merges one into it",
            )
        base = base_of(folder) if is_adapter_alone(folder) else folder
        return base, None, (to_say("without its adapter"),)
    if adapter is not None:
        return folder, read_adapter(Path(adapter)), ()
    if is_adapter_alone(folder):
        base = base_of(folder)
        return (
            base,
            read_adapter(folder),
            (to_say("its base is {base}", base=label(os.path.normpath(base))),),
        )
    if not is_adapter(folder):
        return folder, None, ()
    try:
        return folder, read_adapter(folder), ()
    except AttnvizError as error:
        note = to_say(
            "the adapter beside its weights is not applied, this is the base model: {why}",
            why=error.message,
        )
        return folder, None, (note,)


def _has_tokenizer(folder: Path) -> bool:
    """Whether a folder has a vocabulary of its own: an adapter may lack one."""
    return any((folder / name).exists() for name in (SERIALIZED, *SENTENCE_PIECE, WORDS, PIECES))


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the model itself, whose weights are read as if they were not quantised."""
    return {key: value for key, value in config.items() if key not in QUANTISED}


def _read_preprocessor(folder: Path) -> Config | None:
    """What is done to images or sounds before a model sees them, if the folder says."""
    path = next((p for name in (PREPROCESSOR, PROCESSOR) if (p := folder / name).exists()), None)
    if path is None:
        return None
    hint = f"take the {path.name} that came with the weights"
    config = Config(read_object(path), str(path), hint)
    if path.name == PREPROCESSOR:
        return config
    return next((config.section(part) for part in PARTS if config.has(part)), None)
