"""Which fields of a config matter: the names that transformers' code reads, family by family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attnviz.models.json_object import read_object

TABLE = Path(__file__).parent / "read_names.json"
"""Written by `tests/golden/published/make_read_names.py`."""

ROPE = "rope"
"""A reader that is not a family: of a section of rotary positions."""

FRAMEWORKS = re.compile("^(TF|Flax)")
"""What the names of classes begin with that are not PyTorch's."""


def may_read(reader: str, name: str, config: Mapping[str, Any]) -> str:
    """Why the field `name` may matter to `reader`; "" if no code that could read it does.

    `config` has the fields beside it, which tell whose code the checkpoint is for.
    """
    table = _table()
    names = table["names"]
    if reader not in names:
        return "attnviz knows no such field here"
    shared = () if reader == ROPE else names["shared"]
    if name in names[reader] or name in shared:
        return "the code of this architecture in transformers reads it"
    if _is_neutral(config.get(name)):
        return ""  # even where other code reads it: it asks for nothing
    if "auto_map" in config:
        return "the checkpoint names code of its own (auto_map), which may read it"
    classes = config.get("architectures")
    for each in classes if isinstance(classes, list) else ():
        if FRAMEWORKS.sub("", str(each)) not in table["classes"].get(reader, ()):
            return f"it is for the class {each}, which is not in transformers and may read it"
    if _version(config.get("transformers_version")) > _version(table["transformers"]):
        version = config["transformers_version"]
        return f"it was written by transformers {version}, newer than what attnviz knows"
    return ""


def _is_neutral(value: object) -> bool:
    """Whether a field says that nothing is added, changed or scaled: false, 0, 1 or empty."""
    return value is False or (value is not True and value in (0, 1, "", [], {}))


def _version(text: object) -> tuple[int, ...]:
    """`5.23.0.dev0` -> (5, 23); () for what is not a version."""
    return tuple(map(int, re.findall(r"\d{1,9}", text)[:2])) if isinstance(text, str) else ()


@cache
def _table() -> dict[str, Any]:
    return read_object(TABLE, "install attnviz again")
