"""JSON objects from files that anybody may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.files import read_file
from attnviz.models.formats.content import N_BYTE, kind_of
from attnviz.parse import parse_json


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: anything else, or a key that appears twice in one object.
    """
    value = parse_json(content, unique_keys=True)
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
    return read_file(path, "check its permissions")


def other_kind(path: Path, content: bytes) -> AttnvizError | None:
    """An error that says what a file holds instead of JSON; None if that is not known."""
    kind = None if content.lstrip().startswith(b"{") else kind_of(content[:N_BYTE])
    if kind is None:
        return None
    description, hint = kind
    return AttnvizError(f"{path} is not a JSON file, but {description}", hint)
