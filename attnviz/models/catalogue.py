"""The models that are on this machine: packaged ones, folders, Hugging Face's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.models import PACKAGED, packaged
from attnviz.models.checkpoint import known_families, read_card

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
    """Checkpoints in Hugging Face's cache, by the path of their snapshot."""
    root = Path(
        os.environ.get("HF_HUB_CACHE")
        or Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface") / "hub"
    )
    return list(_entries(sorted(root.glob("models--*/snapshots/*/config.json"))))


def entries_below(folder: Path) -> list[Entry]:
    """Checkpoints in a folder and below it."""
    found: list[Path] = []
    for depth in range(DEEPEST + 1):
        found += sorted(folder.glob("*/" * depth + "config.json"))
    return list(_entries(found))


def _entries(configs: list[Path]) -> Iterator[Entry]:
    known = known_families()
    for path in configs:
        try:
            config = json.loads(path.read_text("utf-8"))
            family = str(config["model_type"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # other tools have config.json files too
        yield Entry(str(path.parent), family, family in known, None)
