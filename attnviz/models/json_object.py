"""JSON objects out of files that anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError


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
    try:
        return parse_object(path.read_bytes())
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check who may read it"
        ) from error
    except ValueError as error:
        raise AttnvizError(f"{path} is damaged or no JSON file: {error}", hint) from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands there twice")
    return found
