"""JSON and TOML that anybody may have written: whatever is wrong is a ValueError with the reason.

Python's own readers also raise RecursionError, and give whole numbers that no array or float can
hold.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.files import read_file

MAX_DIGITS = 308
"""Of a whole number: one of more does not fit into a float."""

DIGITS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else 32 for byte in range(256))
"""A table: every digit becomes a 0."""

TOML_BYTES = 1 << 20
"""At most in a TOML file, which a person writes."""

TOML_DEPTH = 20
"""How deep its values may be nested, at most."""

PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\."""
DOTTED = rf"(?<![\w-])(?:{PART}[ \t]*+){{{TOML_DEPTH}}}"
"""A dotted key that is nested too deeply: reading it would take quadratic time."""

TOML_INTEGERS = range(-(1 << 63), 1 << 63)
"""The specification asks for 64 bits, and for an error where a number has more."""

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def parse_json(content: bytes, *, unique_keys: bool = False) -> Any:
    """The value of a JSON text in UTF-8, with or without a mark of its order of bytes.

    Args:
        unique_keys: refuse a key that appears twice in one object.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has a whole number of thousands of
            digits.
    """
    pairs = _unique if unique_keys else None
    has_many = b"0" * (MAX_DIGITS + 1) in content.translate(DIGITS)
    whole = _whole_number if has_many else None
    try:
        return json.loads(decoded(content), object_pairs_hook=pairs, parse_int=whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_factor(text: str, what: str, hint: str) -> float:
    """`0.125`, or `1/8`; `what` names the option in errors."""
    top, _, bottom = text.partition("/")
    try:
        return float(top) / float(bottom or 1)
    except (ValueError, ZeroDivisionError):
        raise AttnvizError(f"{what}, got {text!r}", hint) from None


def read_toml(path: Path, example: str) -> dict[str, Any]:
    """The values of a TOML file.

    Raises:
        AttnvizError: it cannot be read or is not TOML; the hint names `example`.
    """
    content = read_file(path, maximum=TOML_BYTES)
    try:
        return parse_toml(content)
    except ValueError as error:
        raise AttnvizError(f"{path} is not a TOML file: {error}", f"{example} is one") from error


def parse_toml(content: bytes) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        ValueError: it is not TOML, is nested too deeply, or has a whole number of more than 64
            bits.
    """
    import tomllib

    text = decoded(content)
    if re.search(DOTTED, text):
        raise ValueError("it is nested too deeply")
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # of Python: too many digits
        raise ValueError("it has a whole number of more than 64 bits") from None
    for depth, name, value in _values(values):
        if depth > TOML_DEPTH:
            raise ValueError("it is nested too deeply")
        if isinstance(value, int) and value not in TOML_INTEGERS:
            raise ValueError(f"{name} is a whole number of more than 64 bits")
    return values


def decoded(content: bytes) -> str:
    """The text of a file in UTF-8.

    Raises:
        ValueError: it is not; UTF-16 is named.
    """
    if content.startswith(UTF16):
        raise ValueError("it is UTF-16, as PowerShell's > writes it; expected UTF-8")
    return content.decode("utf-8-sig")


def _values(values: Any, name: str = "") -> Iterator[tuple[int, str, Any]]:
    """All values in nested lists and objects, with their depth and the name at the top."""
    waiting = [(1, str(key), value) for key, value in values.items()]
    while waiting:
        depth, name, value = waiting.pop()
        yield depth, name, value
        if depth <= TOML_DEPTH and isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(depth + 1, name, each) for each in inner]


def _whole_number(digits: str) -> int:
    n_digit = len(digits.removeprefix("-"))
    if n_digit > MAX_DIGITS:
        raise ValueError(f"it has a whole number of {n_digit} digits")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key!r:.80} appears twice")
        values[key] = value
    return values
