"""The header of a safetensors file: everything it says is checked against the file.

Eight bytes with the length of the header, little-endian; the header, a JSON object
`{name: {"dtype", "shape", "data_offsets"}}`; the data, without gaps. `__metadata__` may hold
strings. Source: the format's description in the safetensors repository.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from attnviz.models.json_object import parse_object
from attnviz.tokens import label

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # NumPy has no bfloat16: widened on reading
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}

LENGTH_BYTES = 8
MAX_LENGTH = 100_000_000
"""Bytes that the format allows a header to have."""

MAX_AXES = 32
SIZE_LIMIT = 1 << 63
"""Sizes lie below it, even those of tensors that are empty because one size is 0."""


class Entry(NamedTuple):
    """What the header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]
    first: int
    """The first byte, counted from the end of the header."""
    last: int
    """The byte after its last."""


class NoHeader(ValueError):
    """A length that no header has: the file may have another format."""


class UnknownDtype(ValueError):
    """A tensor of a type that attnviz cannot read, in a file that may be undamaged."""


def header_length(head: bytes, n_byte: int) -> int:
    """The length of the header of a file of `n_byte` bytes that begins with `head`.

    Raises:
        ValueError: there cannot be one.
    """
    if n_byte == 0:
        raise ValueError("it is empty")
    if n_byte < LENGTH_BYTES:
        raise ValueError(f"it ends after {n_byte} bytes")
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    available = n_byte - LENGTH_BYTES
    if length > MAX_LENGTH:
        raise NoHeader(
            f"its header should have {length} bytes, but at most {MAX_LENGTH} are allowed"
        )
    if length > available:
        raise ValueError(f"its header should have {length} bytes, but only {available} are there")
    if head[LENGTH_BYTES : LENGTH_BYTES + 1] != b"{" or not length:
        raise ValueError("its header does not begin with {")
    return length


def read_entries(header: bytes, n_byte: int) -> dict[str, Entry]:
    """The tensors by name, whose data have `n_byte` bytes.

    Raises:
        ValueError: this is not a header, or it does not fit the data.
    """
    try:
        values = parse_object(header)
    except ValueError as error:
        raise ValueError(f"its header: {error}") from None
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its header: expected strings in __metadata__")
    entries: dict[str, Entry] = {}
    for name, value in values.items():
        try:
            entries[name] = _entry(value)
        except ValueError as error:
            raise type(error)(f"{_named(name)}: {error}") from None
    _check_layout(entries, n_byte)
    return entries


def _entry(fields: Any) -> Entry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"expected dtype, shape and data_offsets, got {label(str(fields)[:80])}")
    dtype, shape = fields["dtype"], _sizes("shape", fields["shape"])
    offsets = _sizes("data_offsets", fields["data_offsets"])
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise UnknownDtype(f"unknown type {label(str(dtype)[:40])}")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"data_offsets: expected [first, last], got {list(offsets)}")
    itemsize = DTYPES[dtype].itemsize
    if math.prod(max(size, 1) for size in shape) * itemsize >= SIZE_LIMIT:
        raise ValueError(f"no file can hold the shape {list(shape)}")
    n_byte, n_stored = math.prod(shape) * itemsize, offsets[1] - offsets[0]
    if n_byte != n_stored:
        raise ValueError(
            f"the shape {list(shape)} of {dtype} takes {n_byte} bytes, but it has {n_stored}"
        )
    return Entry(dtype, shape, *offsets)


def _sizes(field: str, value: Any) -> tuple[int, ...]:
    """Whole numbers of at least 0, not too many and none too large."""
    if (
        not isinstance(value, list)
        or len(value) > MAX_AXES
        or not all(type(size) is int and 0 <= size < SIZE_LIMIT for size in value)
    ):
        raise ValueError(
            f"{field}: expected at most {MAX_AXES} whole numbers of at least 0, "
            f"got {label(str(value)[:80])}"
        )
    return tuple(value)


def _check_layout(entries: Mapping[str, Entry], n_byte: int) -> None:
    """Raise ValueError unless the tensors fill the data, one after the other."""
    end, previous = 0, ""
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].first, item[1].last)):
        if entry.last > n_byte:
            raise ValueError(
                f"{_named(name)} ends {entry.last - n_byte} bytes after the end of the file"
            )
        if entry.first < end:
            raise ValueError(f"{_named(name)} overlaps {_named(previous)}")
        if entry.first > end:
            after = _named(previous) if previous else "the header"
            raise ValueError(
                f"{entry.first - end} bytes between {after} and {_named(name)} belong to no tensor"
            )
        end, previous = entry.last, name
    if end < n_byte:
        raise ValueError(f"{n_byte - end} bytes at its end belong to no tensor")


def _named(name: str) -> str:
    return f"the tensor {label(name[:200])}"
