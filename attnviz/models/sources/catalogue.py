"""The models that are on this machine: packaged ones, folders and files, Hugging Face's cache."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models import PACKAGED, packaged
from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.formats import whole_formats
from attnviz.models.sources.card import read_card
from attnviz.models.sources.folder import CONFIG
from attnviz.models.sources.hub import cached

MAX_DEPTH = 4
"""How many levels below a folder checkpoints are looked for."""


class Entry(NamedTuple):
    """A model that could be loaded."""

    name: str
    """What `-m` takes."""
    family: str
    supported: bool
    card: dict[str, Any] | None


def packaged_entries() -> list[Entry]:
    return [Entry(name, "attnviz", True, read_card(PACKAGED / name)) for name in packaged()]


def cached_entries() -> list[Entry]:
    """Checkpoints in Hugging Face's cache, by the names that `-m` takes."""
    entries = (_entry(str(name), snapshot / CONFIG) for name, snapshot in cached())
    return [entry for entry in entries if entry is not None]


def entries_below(folder: Path) -> list[Entry]:
    """Checkpoints in a folder and below it, then files that are models by themselves."""
    entries = [_entry(str(path.parent), path) for path in _below(folder, CONFIG)]
    for each in whole_formats():
        entries += [_file_entry(path, each) for path in _below(folder, f"*{each.SUFFIX}")]
    return [entry for entry in entries if entry is not None]


def _below(folder: Path, name: str) -> list[Path]:
    depths = range(MAX_DEPTH + 1)
    return [path for depth in depths for path in sorted(folder.glob("*/" * depth + name))]


def _entry(name: str, path: Path) -> Entry | None:
    """What config.json says of a checkpoint; None for another tool's file of that name."""
    try:
        config = json.loads(path.read_text("utf-8"))
        family = str(config["model_type"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Entry(name, family, family_name(family) in FAMILIES, None)


def _file_entry(path: Path, file_format: ModuleType) -> Entry | None:
    """What a file says of the model that it is."""
    try:
        family, supported = file_format.identify(path)
    except AttnvizError:
        return None
    return Entry(str(path), family, supported, None)
