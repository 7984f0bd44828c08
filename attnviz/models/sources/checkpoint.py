"""A folder -> a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnviz.models.build.checkpoint import Checkpoint, build_model
from attnviz.models.build.config import Config
from attnviz.models.chat.files import read_template
from attnviz.models.json_object import read_object
from attnviz.models.model import Model
from attnviz.models.sources.card import check_card
from attnviz.models.sources.folder import (
    CONFIG,
    INDEX,
    QUANTISED,
    WEIGHTS,
    adapter_note,
    open_weights,
    read_config,
)
from attnviz.models.sources.naming import folder_name
from attnviz.models.tokenizers.files import read_tokenizers
from attnviz.tokens import label

PREPROCESSOR = "preprocessor_config.json"


def load_checkpoint(folder: Path, dtype: str = "float32", name: str | None = None) -> Model:
    """The model in a folder, called what it is unless `name` says otherwise."""
    config = read_config(folder)
    weights = open_weights(folder, config)
    tokenizers = read_tokenizers(folder, config)
    checkpoint = Checkpoint(
        name or folder_name(folder, config),
        Config(_plain(config), str(folder / CONFIG)),
        weights,
        tokenizers.source,
        tokenizers.target,
        _read_preprocessor(folder / PREPROCESSOR),
        dtype,
    )
    model = build_model(checkpoint)
    check_card(folder, weights)
    notes = (*model.notes, *adapter_note(folder))
    file_name = Path(weights.path).name
    if file_name not in (WEIGHTS, INDEX):
        notes = (*notes, f"its weights are those in {label(file_name)}")
    return model._replace(notes=notes, chat=read_template(folder))


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the model itself, whose weights are read as if they were not quantised."""
    return {key: value for key, value in config.items() if key not in QUANTISED}


def _read_preprocessor(path: Path) -> Config | None:
    """What is done to images before a model sees them, if the folder says."""
    if not path.exists():
        return None
    from attnviz.models.vision.preprocessor import HINT

    return Config(read_object(path), str(path), HINT)
