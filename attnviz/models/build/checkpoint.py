"""A checkpoint: a folder with `config.json` and safetensors, as Hugging Face writes them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build import families
from attnviz.models.run.finite import check_tensors
from attnviz.models.json_object import read_object
from attnviz.models.model import Model, Tokenizer
from attnviz.models.sources.folder import CONFIG, INDEX, WEIGHTS, open_weights, read_config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.tokenizers.files import read_tokenizers
from attnviz.models.vision.preprocessor import RIGHT
from attnviz.registry import nearest
from attnviz.tokens import label


def load_checkpoint(folder: Path, dtype: str = "float32", name: str | None = None) -> Model:
    """The model in a folder, named by it unless `name` says otherwise."""
    config = read_config(folder)
    weights = open_weights(folder, config)
    tokenizers = read_tokenizers(folder, config)
    model = assemble(
        name or folder.resolve().name,
        families.Config(config, str(folder / CONFIG)),
        weights,
        tokenizers.source,
        dtype,
        _preprocessor(folder / "preprocessor_config.json"),
        tokenizers.target,
    )
    check_card(folder, weights)
    taken = Path(weights.path).name
    if taken not in (WEIGHTS, INDEX):
        model = model._replace(notes=(*model.notes, f"its weights are those in {label(taken)}"))
    return model


def assemble(
    name: str,
    config: families.Config,
    weights: TensorFile,
    tokenizer: Tokenizer,
    dtype: str,
    preprocessor: families.Config | None = None,
    target_tokenizer: Tokenizer | None = None,
) -> Model:
    """A model from what a file format holds: `config` and tensor names as Hugging Face's."""
    family = config.text("model_type", None)
    built = _family(family, config.where).build(config, weights, np.dtype(dtype))
    return Model(
        name=name,
        transformer=built.transformer,
        tokenizer=built.tokenizer or tokenizer,
        target_tokenizer=built.target_tokenizer or target_tokenizer,
        task=built.task,
        labels=built.labels,
        image=None if built.image is None else built.image(preprocessor),
        trained=True,
        shape={"family": family, **built.shape},
        n_parameter=built.tensors.n_parameter,
        max_tokens=built.max_tokens,
        trained_tokens=built.trained_tokens,
        n_vocabulary=built.n_vocabulary,
        n_target=built.n_target,
        dtype=dtype,
        n_disk=weights.n_byte,
        fingerprint=weights.sha256,
        keep_weights=built.tensors.keep,
        check_weights=partial(check_tensors, weights),
        notes=_doubts(built, tokenizer),
    )


def _doubts(built: families.Built, tokenizer: Tokenizer) -> tuple[str, ...]:
    """That the tokenizer may be of another model, whose ids happen to be low enough."""
    n_entry, n_vocabulary = tokenizer.n_entry, built.n_vocabulary
    if built.tokenizer or n_entry is None or n_vocabulary is None or n_entry <= n_vocabulary:
        return ()
    return (
        f"its tokenizer has {n_entry} tokens, its table {n_vocabulary}: are they of one model?",
    )


def _preprocessor(path: Path) -> families.Config | None:
    """How images are prepared, of a model that reads them."""
    return families.Config(read_object(path), str(path), RIGHT) if path.exists() else None


def read_card(folder: Path) -> dict[str, Any] | None:
    """What is told of a model that attnviz trained: its data, licence and figures."""
    path = folder / "card.json"
    if not path.exists():
        return None
    card = read_object(path, "install attnviz again")
    if "sha256" not in card:
        return None  # somebody else's file of that name
    kinds: dict[str, type] = {
        "figures": dict,
        "figures_text": dict,
        "limits": list,
        "training_seconds": float,
    }
    for key, kind in kinds.items():
        value = card.get(key, kind())
        if not isinstance(float(value) if isinstance(value, int) else value, kind):
            raise AttnvizError(f"{path}: {key} is garbled", "install attnviz again")
    return card


def check_card(folder: Path, weights: TensorFile) -> None:
    """Raise AttnvizError if the weights are not those that the card's figures are of."""
    card = read_card(folder)
    if card is not None and card.get("sha256") != weights.sha256():
        raise AttnvizError(
            f"{weights.path} is damaged: its SHA-256 is not the one in card.json",
            "install attnviz again, or train the model again",
        )


def known_families() -> list[str]:
    """The architectures that can be loaded: `model_type`, with _ where that may have -."""
    return [module.name for module in pkgutil.iter_modules(families.__path__)]


def _family(name: str, where: str) -> Any:
    module = name.replace("-", "_")
    if module not in known_families():
        raise AttnvizError(
            f"{where}: the architecture {name!r} is not supported", nearest(name, known_families())
        )
    return importlib.import_module(f"{families.__name__}.{module}")
