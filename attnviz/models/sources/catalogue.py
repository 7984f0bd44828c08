"""The models that are on this machine: packaged ones, folders and files, Hugging Face's cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.files import read_file
from attnviz.models import PACKAGED, packaged
from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.formats import whole_formats
from attnviz.models.sources.card import read_card
from attnviz.models.sources.folder import CONFIG, reads_weights
from attnviz.models.sources.hub import cached
from attnviz.parse import parse_json

MAX_DEPTH = 4
"""How many levels below a folder checkpoints are looked for."""

MAX_ENTRIES = 300_000
"""How many files and folders are looked at."""

SYSTEM = ("/proc", "/sys", "/dev")
"""Folders whose file systems hold no models, but files that never end."""

CONFIG_BYTES = 1 << 24


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


def entries_below(folder: Path, warn: Callable[[str], None] | None = None) -> list[Entry]:
    """Checkpoints in a folder and below it, then files that are models by themselves.

    `warn` is told if there is too much below the folder to look through all of it.
    """
    endings = {each.SUFFIX: each for each in whole_formats()}
    paths, complete = _below(folder, tuple(endings))
    entries = [_entry(str(path.parent), path) for path in paths if path.name == CONFIG]
    for ending, file_format in endings.items():
        entries += [_file_entry(path, file_format) for path in paths if path.name.endswith(ending)]
    if warn is not None and not complete:
        warn(f"note: {folder} holds too much to look through all of it: name a folder in it")
    return [entry for entry in entries if entry is not None]


def _below(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], bool]:
    """The config.json and the files with these endings, the nearest first; and whether there were
    no more folders than are looked through.

    A folder that several links lead to is looked through once, and one of the system's own never.
    """
    seen, level, found = _identities(*SYSTEM), [folder], []
    remaining = MAX_ENTRIES
    for depth in range(MAX_DEPTH + 1):
        folders: list[Path] = []
        for each in level:
            identity = _identity(each)
            if identity is None or identity in seen or (identity[0], None) in seen:
                continue
            seen.add(identity)
            entries = _listed(each, remaining)
            remaining -= len(entries)
            found += [Path(e.path) for e in entries if e.name == CONFIG or e.name.endswith(endings)]
            if depth < MAX_DEPTH:
                folders += [Path(e.path) for e in entries if _is_folder(e)]
            if not remaining:
                return found, False
        level = folders
    return found, True


def _listed(folder: Path, maximum: int) -> list[os.DirEntry[str]]:
    """What is in a folder, by name; nothing if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(islice(entries, maximum), key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _identities(*folders: str) -> set[tuple[int, int | None]]:
    """(file system, None) of each that is there, but for the one that holds everything else."""
    devices = {found[0] for each in folders if (found := _identity(Path(each))) is not None}
    root = _identity(Path("/"))
    return {(device, None) for device in devices if root is None or device != root[0]}


def _entry(name: str, path: Path) -> Entry | None:
    """What config.json says of a checkpoint; None for another tool's file of that name."""
    try:
        config = parse_json(read_file(path, maximum=CONFIG_BYTES))
    except (AttnvizError, ValueError):
        return None
    family = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(family, str):
        return None
    supported = family_name(family) in FAMILIES and reads_weights(path.parent)
    return Entry(name, family, supported, None)


def _file_entry(path: Path, file_format: ModuleType) -> Entry | None:
    """What a file says of the model that it is."""
    try:
        family, supported = file_format.identify(path)
    except AttnvizError:
        return None
    return Entry(str(path), family, supported, None)
