"""The parameters of a specification's operator, as JSON gives them: known names, right types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.files import read_file
from attnviz.parse import parse_json
from attnviz.registry import nearest

LARGEST = 1 << 20
"""Bytes of a file of parameters."""


class Field(NamedTuple):
    """What a parameter may be."""

    default: Any
    expected: str
    """In words: `a whole number`."""
    kind: type | Mapping[str, int] = float
    """float, int, bool, tuple (two whole numbers), list (zeros), or the names of an enumeration and
    their values."""


def number(default: float | None) -> Field:
    return Field(default, "a number", float)


def whole(default: int | None) -> Field:
    return Field(default, "a whole number", int)


def truth(default: bool) -> Field:
    return Field(default, "true or false", bool)


def one_of(*names: str, default: int | None = 0, **numbered: int) -> Field:
    """An enumeration, whose values are given by name or number."""
    values = {**{name: i for i, name in enumerate(names)}, **numbered}
    first = {i: name for name, i in reversed(values.items())}
    listed = ", ".join(f"{i} or {first[i]}" for i in sorted(first))
    return Field(default, f"one of {listed}", values)


def read_params(given: str) -> Mapping[str, Any]:
    """The JSON object of a file, or of a text that begins with a brace.

    Raises:
        AttnvizError: there is no such file, or it holds something else.
    """
    is_text = given.lstrip().startswith("{")
    what = "--params" if is_text else f"--params {given}"
    try:
        content = given.encode() if is_text else read_file(Path(given), maximum=LARGEST)
        params = parse_json(content, unique_keys=True)
    except (ValueError, UnicodeEncodeError) as error:
        raise AttnvizError(f"{what}: this is no JSON: {error}", EXAMPLE) from None
    if not isinstance(params, dict):
        raise AttnvizError(
            f"{what}: expected an object of parameters, got {type(params).__name__}", EXAMPLE
        )
    return params


EXAMPLE = 'write {"headNum": 8, "qkScale": 0.125}'


def values_of(what: str, fields: Mapping[str, Field], params: Mapping[str, Any]) -> dict[str, Any]:
    """Every field's value: the given one, or its default. `what` has them, in errors.

    Raises:
        AttnvizError: a name that is unknown, a value of another type; both are named.
    """
    for name in params:
        if name not in fields:
            raise AttnvizError(f"{what} has no parameter {name!r}", nearest(name, fields))
    return {
        name: _value(f"{what}: {name}", field, params[name]) if name in params else field.default
        for name, field in fields.items()
    }


def _value(what: str, field: Field, value: Any) -> Any:
    if value is None and field.default is None:
        return None
    if not isinstance(field.kind, type):
        return _enumerated(what, field, value, field.kind)
    read = _READ[field.kind](value)
    if read is None:
        raise AttnvizError(f"{what} is {_shown(value)}; expected {field.expected}", "")
    return read


def _enumerated(what: str, field: Field, value: Any, values: Mapping[str, int]) -> int:
    if isinstance(value, str) and value.rpartition("::")[2] in values:
        return values[value.rpartition("::")[2]]
    if isinstance(value, int) and not isinstance(value, bool) and value in values.values():
        return value
    raise AttnvizError(f"{what} is {_shown(value)}; expected {field.expected}", "")


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= 1e38 else None  # also NaN


def _truth(value: Any) -> bool | None:
    return bool(value) if isinstance(value, bool) or value in (0, 1) else None


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, list | tuple) and len(value) == 2:
        first, second = map(_whole, value)
        if first is not None and second is not None:
            return first, second
    return None


def _zeros(value: Any) -> tuple[int, ...] | None:
    values = value if isinstance(value, list | tuple) else (value,)
    return tuple(values) if all(each == 0 for each in values) else None


_READ: Mapping[type, Any] = {
    float: _number,
    int: _whole,
    bool: _truth,
    tuple: _pair,
    list: _zeros,
}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"
