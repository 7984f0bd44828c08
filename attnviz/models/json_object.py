"""JSON objects from files that anybody may have written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.formats.content import N_BYTE, kind_of


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: anything else, or a key that appears twice in one object.
    """
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_no_key_twice)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        if "integer string conversion" in str(error):
            raise ValueError("it has a number of thousands of digits") from None
        raise
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def read_object(path: Path, hint: str = "download it again") -> dict[str, Any]:
    """The JSON object in a file."""
    content = read_bytes(path)
    try:
        return parse_object(content)
    except ValueError as error:
        damaged = AttnvizError(f"{path} is damaged or not a JSON file: {error}", hint)
        raise other_kind(path, content) or damaged from error


def read_bytes(path: Path) -> bytes:
    """A file's content."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for its writer
            raise AttnvizError(f"{path} is not a file", "name the file itself")
        return path.read_bytes()
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check its permissions"
        ) from error


def other_kind(path: Path, content: bytes) -> AttnvizError | None:
    """An error that says what a file holds instead of JSON; None if that is not known."""
    kind = None if content.lstrip().startswith(b"{") else kind_of(content[:N_BYTE])
    if kind is None:
        return None
    description, hint = kind
    return AttnvizError(f"{path} is not a JSON file, but {description}", hint)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        repeated = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {repeated!r:.80} appears twice")
    return value
