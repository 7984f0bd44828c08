"""Names `org/name`: checkpoints in the local cache of the Hugging Face hub.

Nothing here touches the network. `HF_HUB_CACHE/models--ORG--NAME` holds a folder of links for each
commit, `snapshots/COMMIT`, and the commits of branches and tags, `refs/main`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attnviz.errors import AttnvizError
from attnviz.tokens import label

MAIN = "main"
FOLDER = "models--"

NAME = re.compile(r"((?:[\w.-]{1,96}/)?[\w.-]{1,96})(?:@([\w./-]{1,200}))?", re.ASCII)
COMMIT = re.compile(r"\w{1,64}", re.ASCII)


class HubName(NamedTuple):
    """A model of the hub at one of its revisions."""

    repository: str
    """`org/name`; the oldest models have no org."""
    revision: str = MAIN
    """A branch, a tag or a commit."""

    def __str__(self) -> str:
        at = "" if self.revision == MAIN else f"@{self.revision}"
        return f"{self.repository}{at}"

    @property
    def folder(self) -> Path:
        """Its folder in the cache, which may not exist."""
        return cache_folder() / f"{FOLDER}{self.repository.replace('/', '--')}"


def parse_name(text: str) -> HubName | None:
    """`org/name` or `org/name@revision`; None for what cannot be one, like most paths."""
    match = NAME.fullmatch(text)
    if match is None or "--" in match[1] or ".." in text:
        return None
    if any(part[0] in ".-" or part[-1] in ".-" for part in match[1].split("/")):
        return None
    return HubName(match[1], match[2] or MAIN)


def cache_folder() -> Path:
    """The hub's cache, where the package huggingface_hub keeps it."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/huggingface"
    hub = os.environ.get("HF_HOME", home) + "/hub"
    folder = os.environ.get("HF_HUB_CACHE", os.environ.get("HUGGINGFACE_HUB_CACHE", hub))
    return Path(os.path.expandvars(os.path.expanduser(folder)))


def find(name: HubName) -> Path | None:
    """The snapshot in the cache; None if the cache has nothing of this model.

    Raises:
        AttnvizError: the revision is not there, or the snapshot lacks files.
    """
    snapshots = dict(_revisions(name.folder))
    if not snapshots:
        return None
    snapshot = snapshots.get(name.revision)
    if snapshot is None:
        here = ", ".join(f"{name.repository}@{revision}" for revision in list(snapshots)[:3])
        raise AttnvizError(
            f"the revision {name.revision!r} of {name.repository} is not in the cache",
            f"--download fetches it; here is {label(here)}{', …' if len(snapshots) > 3 else ''}",
        )
    from attnviz.models.sources.folder import missing_files

    missing = missing_files(snapshot)
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        raise AttnvizError(
            f"{name} is incomplete in the cache {cache_folder()}: it lacks "
            f"{label(missing[0])}{more}",
            "--download fetches what is missing",
        )
    return snapshot


def cached() -> Iterator[tuple[HubName, Path]]:
    """All snapshots in the cache, each under one name."""
    for folder in sorted(cache_folder().glob(f"{FOLDER}*")):
        repository = folder.name.removeprefix(FOLDER).replace("--", "/")
        named: dict[Path, str] = {}
        for revision, snapshot in _revisions(folder):
            named.setdefault(snapshot, revision)
        for snapshot, revision in named.items():
            yield HubName(repository, revision), snapshot


def name_of(snapshot: Path) -> HubName | None:
    """The name of a snapshot, in whatever cache it is; None for a folder that is none."""
    folder = snapshot.parent.parent
    if snapshot.parent.name != "snapshots" or not folder.name.startswith(FOLDER):
        return None
    repository = folder.name.removeprefix(FOLDER).replace("--", "/")
    for revision, found in _revisions(folder):
        if found.name == snapshot.name:
            return parse_name(f"{repository}@{revision}")
    return None


def _revisions(folder: Path) -> Iterator[tuple[str, Path]]:
    """(revision, snapshot) of a model in the cache: main, other branches and tags, commits."""
    refs = folder / "refs"
    files = sorted(path for path in refs.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path != refs / MAIN):
        commit = path.read_bytes()[:100].decode("ascii", "replace").strip()
        snapshot = folder / "snapshots" / commit
        if COMMIT.fullmatch(commit) and snapshot.is_dir():
            yield path.relative_to(refs).as_posix(), snapshot
    for snapshot in sorted((folder / "snapshots").glob("*")):
        if snapshot.is_dir():
            yield snapshot.name, snapshot
