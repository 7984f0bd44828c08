"""JSON objects out of files that anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.formats.magic import N_BYTE, what_it_is


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object. Raises ValueError, with the reason, for anything else, and for a key that
    stands twice in one object: which of the two was meant, nobody can know."""
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_no_key_twice)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("expected a JSON object")
    return found


def read_object(path: Path, hint: str = "download it again") -> dict[str, Any]:
    """The JSON object in a file."""
    content = read_bytes(path)
    try:
        return parse_object(content)
    except ValueError as error:
        damaged = AttnvizError(f"{path} is damaged or no JSON file: {error}", hint)
        raise other_kind(path, content) or damaged from error


def read_bytes(path: Path) -> bytes:
    """A file's content."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for whoever writes
            raise AttnvizError(f"{path} is no file", "take the file itself")
        return path.read_bytes()
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check who may read it"
        ) from error


def other_kind(path: Path, content: bytes) -> AttnvizError | None:
    """That a file which should hold JSON holds something else, if that is often found."""
    found = None if content.lstrip().startswith(b"{") else what_it_is(content[:N_BYTE])
    if found is None:
        return None
    what, hint = found
    return AttnvizError(f"{path} is no JSON file, but {what}", hint)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands there twice")
    return found
