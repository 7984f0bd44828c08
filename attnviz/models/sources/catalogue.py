"""The models that are on this machine: packaged ones, folders and files, Hugging Face's cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models import PACKAGED, packaged
from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.formats.gguf_header import read_architecture
from attnviz.models.formats.mapped import mapped
from attnviz.models.gguf.architectures import ARCHITECTURES
from attnviz.models.sources.card import read_card
from attnviz.models.sources.folder import CONFIG
from attnviz.models.sources.hub import cached

DEEPEST = 4
"""How far below a given folder checkpoints are looked for."""


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
    found = ((str(name), snapshot / CONFIG) for name, snapshot in cached())
    return [entry for name, path in found if (entry := _entry(name, path)) is not None]


def entries_below(folder: Path) -> list[Entry]:
    """Checkpoints in a folder and below it, then GGUF files."""
    configs, files = (
        [path for depth in range(DEEPEST + 1) for path in sorted(folder.glob("*/" * depth + name))]
        for name in (CONFIG, "*.gguf")
    )
    found = [_entry(str(path.parent), path) for path in configs] + list(map(_gguf_entry, files))
    return [entry for entry in found if entry is not None]


def _entry(name: str, path: Path) -> Entry | None:
    """What its config.json tells of a checkpoint; other tools have files of that name too."""
    try:
        config = json.loads(path.read_text("utf-8"))
        family = str(config["model_type"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Entry(name, family, family_name(family) in FAMILIES, None)


def _gguf_entry(path: Path) -> Entry | None:
    """What its header tells of a GGUF file."""
    try:
        family = str(read_architecture(mapped(path), str(path)))
    except AttnvizError:
        return None
    return Entry(str(path), family, family in ARCHITECTURES, None)
