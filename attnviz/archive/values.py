"""Arrays as JSON, which has no NaN and no infinity."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.files import file_size, read_file
from attnviz.memory import check_available
from attnviz.nn.types import Array
from attnviz.parse import parse_json

MEMORY = 8
"""Bytes of memory for each of the file: lists of numbers take more of it than arrays."""

KINDS = "fiub"
"""Of types whose arrays JSON can hold."""

Manifest = dict[str, Any]


def json_text(manifest: Manifest, arrays: Mapping[str, Array]) -> Iterator[str]:
    """One JSON object on one line: the manifest's keys, `dtypes`, `non_finite`, `arrays`."""
    extra = {
        "dtypes": {name: _dtype_name(array) for name, array in arrays.items()},
        "non_finite": {
            name: cells for name, array in arrays.items() if (cells := _non_finite(name, array))
        },
    }
    text = json.dumps({**manifest, **extra}, allow_nan=False)
    yield text[:-1] + ', "arrays": {'
    for position, (name, array) in enumerate(arrays.items()):
        comma = ", " if position else ""
        yield f"{comma}{json.dumps(name)}: {json.dumps(_nested(array), allow_nan=False)}"
    yield "}}"


def read_json(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    """The manifest, None if the file has none, and the arrays."""
    size = file_size(path)
    check_available(size * MEMORY, str(path), "save it as .npz")
    manifest = parse_json(read_file(path, maximum=size))
    if isinstance(manifest, list):
        return None, {path.stem: _numbers(path.stem, manifest, None)}
    if isinstance(manifest, dict) and _is_plain(manifest):
        return None, {name: _numbers(name, values, None) for name, values in manifest.items()}
    if not isinstance(manifest, dict) or not isinstance(manifest.get("arrays"), dict):
        raise ValueError("expected an object with the key `arrays`, or nested lists of numbers")
    arrays = manifest.pop("arrays")
    dtypes, non_finite = manifest.pop("dtypes", {}), manifest.pop("non_finite", {})
    for key, value in (("dtypes", dtypes), ("non_finite", non_finite)):
        if not isinstance(value, dict):
            raise ValueError(f"expected `{key}` to be an object")
    read = {name: _numbers(name, values, dtypes.get(name)) for name, values in arrays.items()}
    for name, cells in non_finite.items():
        for cell, value in cells:
            read[name][tuple(cell)] = float(value)
    return manifest if "format" in manifest else None, read


def _is_plain(content: dict[str, Any]) -> bool:
    """Whether this is nothing but arrays by name: `{"q": [[1, 2]], "k": [[3, 4]]}`."""
    return bool(content) and all(isinstance(values, list) and values for values in content.values())


def _numbers(name: str, values: Any, dtype: str | None) -> Array:
    # null is -inf among logits (a masked cell) and NaN elsewhere, until `non_finite` says more
    missing = -np.inf if name.endswith("/logits") else np.nan
    array = np.array(values, dtype=object)
    array[array == None] = missing  # noqa: E711
    if dtype is None:
        return array.astype(np.float64 if array.size else np.float32)
    try:
        with np.errstate(over="raise"):
            return array.astype(_dtype(name, dtype))
    except FloatingPointError:
        raise ValueError(f"{name} holds numbers beyond the range of {dtype}") from None


def _dtype(name: str, text: Any) -> np.dtype[Any]:
    """The type that `dtypes` names, if it is one of numbers: of texts it could have any size."""
    try:
        dtype = np.dtype(text) if isinstance(text, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.kind not in KINDS:
        raise ValueError(f"{name} is of the type {str(text)[:40]!r}; expected numbers")
    return dtype


def _nested(array: Array) -> Any:
    if array.dtype.kind != "f":
        return array.tolist()
    # the shortest decimals that give the same float32 back, instead of all digits of a float64
    wide = _double(array) if array.dtype.itemsize >= 8 else _shortest(array)
    if np.isfinite(wide).all():
        return wide.tolist()
    return np.where(np.isfinite(wide), wide, None).tolist()  # type: ignore[call-overload]


def _dtype_name(array: Array) -> str:
    """Of the numbers as they are written: JSON has no extended precision."""
    is_long = array.dtype.kind == "f" and array.dtype.itemsize > 8
    return "float64" if is_long else array.dtype.name


def _double(array: Array) -> Array:
    """As JSON holds numbers: of extended precision, what is beyond float64 is infinite."""
    with np.errstate(all="ignore"):
        return array.astype(np.float64)


def _shortest(array: Array) -> Array:
    return array.astype("U32").astype(np.float64)


def _non_finite(name: str, array: Array) -> list[list[Any]]:
    if array.dtype.kind != "f":
        return []
    array = _double(array) if array.dtype.itemsize > 8 else array
    odd = ~np.isfinite(array)
    if name.endswith("/logits"):
        odd &= ~np.isneginf(array)
    cells = np.argwhere(odd)
    return [[cell.tolist(), str(array[tuple(cell)])] for cell in cells]
