"""A lesson's input as a TOML file: `lesson = "NAME"`, and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.files import read_toml

EXAMPLE = "samples/lessons/retrieval.toml"


def read_input(path: Path) -> tuple[str, dict[str, str]]:
    """The name of the lesson, and its options as the command line would have them.

    Raises:
        AttnvizError: the file cannot be read, names no lesson, or holds what is no option.
    """
    values = read_toml(path, EXAMPLE)
    name = values.pop("lesson", None)
    if not isinstance(name, str):
        raise AttnvizError(
            f"{path} does not say which lesson it is for", 'write for example lesson = "retrieval"'
        )
    return name, {key: _written(path, key, value) for key, value in values.items()}


def _written(path: Path, key: str, value: Any) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and value and all(isinstance(part, int) for part in value):
        return ",".join(map(str, value))
    raise AttnvizError(
        f"{path}: {key}: expected a word, a number or whole numbers, got {value!r}",
        f"write for example {key} = 4",
    )
