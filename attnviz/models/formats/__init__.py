"""File formats of models: one file a format.

Each has a `SUFFIX`, in lower case, and one of

- `open_weights(path) -> TensorFile`: the weights in a folder with a `config.json`;
- `load(path, dtype) -> Model` for a file that is a model by itself, with `MAGIC`, its first bytes,
  and `identify(path)`: (the name of the architecture, whether it is supported).
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from attnviz.registry import ModuleRegistry

MODEL_FORMATS = ModuleRegistry(
    "file format of models",
    "attnviz.models.formats",
    helpers=("content", "mlx"),
)


def weight_formats() -> list[ModuleType]:
    """The formats of weights in a folder."""
    return [each for each in MODEL_FORMATS.values() if hasattr(each, "open_weights")]


def whole_formats() -> list[ModuleType]:
    """The formats whose files are models by themselves."""
    return [each for each in MODEL_FORMATS.values() if hasattr(each, "load")]


def weight_format(name: str) -> ModuleType | None:
    """The format of the weights in a file of this name."""
    return next((each for each in weight_formats() if name.endswith(each.SUFFIX)), None)


def whole_format(path: Path) -> ModuleType | None:
    """The format of a file that is a model by itself: by its suffix, or else, as in Ollama's
    store, by its first bytes."""
    if not os.path.isfile(path):
        return None
    formats = whole_formats()
    for each in formats:
        if path.name.lower().endswith(each.SUFFIX):
            return each
    try:
        with path.open("rb") as file:
            head = file.read(max(len(each.MAGIC) for each in formats))
    except OSError:
        return None
    return next((each for each in formats if head.startswith(each.MAGIC)), None)
