"""safetensors files: everything that the header says is checked against the file.

Eight bytes with the length of the header, little-endian; the header, a JSON object
`{name: {"dtype", "shape", "data_offsets"}}`; the data, without gaps. `__metadata__` may hold
strings. Source: the format's description in the safetensors repository.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.archive.float8 import FLOAT8, widen_float8
from attnviz.files import file_size
from attnviz.memory import check_available
from attnviz.nn.types import Array
from attnviz.parse import parse_json
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
    **dict.fromkeys(FLOAT8, np.dtype("u1")),  # nor these
}

UNSUPPORTED = ("F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2",
               "F4", "C64")  # fmt: skip
"""Types of the format that attnviz does not read."""

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


class Header(NamedTuple):
    """What a file says of its tensors."""

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    start: int
    """The first byte of the data."""


def read_tensors(path: Path) -> tuple[dict[str, Array], Mapping[str, str]]:
    """All tensors by name, bfloat16 and float8 as float32, and the metadata.

    Raises:
        ValueError: the file is damaged, or not a safetensors file.
    """
    n_byte = file_size(path)
    check_available(n_byte, str(path), "save fewer arrays in a file")
    data = path.read_bytes()
    header = read_header(data, len(data))
    tensors = {
        name: widened(tensor(data, header.start, entry), entry.dtype)
        for name, entry in header.entries.items()
    }
    return tensors, header.metadata


def map_tensors(path: Path) -> tuple[dict[str, Array], frozenset[str], Mapping[str, str]]:
    """All tensors by name in a map of the file, float8 as float32, which of them are the bits of
    bfloat16, and the metadata.

    Raises:
        ValueError: the file is damaged, or not a safetensors file.
    """
    n_byte = file_size(path)
    data = np.memmap(path, np.uint8, "r") if n_byte else np.empty(0, np.uint8)
    head = min(n_byte, LENGTH_BYTES + 1)
    length = header_length(bytes(data[:head]), n_byte)
    start = LENGTH_BYTES + length
    entries, metadata = read_entries(bytes(data[LENGTH_BYTES:start]), n_byte - start)
    tensors = {name: tensor(data, start, entry) for name, entry in entries.items()}
    for name, entry in entries.items():
        if entry.dtype in FLOAT8:
            tensors[name] = widened(tensors[name], entry.dtype)
    bfloat16 = frozenset(name for name, entry in entries.items() if entry.dtype == "BF16")
    return tensors, bfloat16, metadata


def read_header(data: Any, n_byte: int) -> Header:
    """The header of a file of `n_byte` bytes, `data` being its bytes or a map of them.

    Raises:
        ValueError: there is none, or it does not fit the file.
    """
    start = LENGTH_BYTES + header_length(data[: LENGTH_BYTES + 1], n_byte)
    entries, metadata = read_entries(data[LENGTH_BYTES:start], n_byte - start)
    return Header(entries, metadata, start)


def tensor(data: Any, start: int, entry: Entry) -> Array:
    """A tensor of a file whose data begin at `start`, in its memory; of types that NumPy does not
    have the bits."""
    dtype = DTYPES[entry.dtype]
    n_item = (entry.last - entry.first) // dtype.itemsize
    return np.frombuffer(data, dtype, n_item, start + entry.first).reshape(entry.shape)


def widened(array: Array, dtype: str) -> Array:
    """The numbers of a tensor [...] of the type that its header names: float32 for bfloat16 and
    float8."""
    if dtype == "BF16":
        return widen_bfloat16(array)
    return widen_float8(array, dtype) if dtype in FLOAT8 else array


def widen_bfloat16(bits: Array) -> Array:
    """The bits of bfloat16 (uint16), of any shape, as float32, of which they are the upper half."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


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


def read_entries(header: bytes, n_byte: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors by name, whose data have `n_byte` bytes, and the metadata.

    Raises:
        ValueError: this is not a header, or it does not fit the data.
    """
    try:
        values = parse_json(header, unique_keys=True)
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
    return entries, metadata


def _entry(fields: Any) -> Entry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"expected dtype, shape and data_offsets, got {label(str(fields)[:80])}")
    dtype, shape = fields["dtype"], _sizes("shape", fields["shape"])
    offsets = _sizes("data_offsets", fields["data_offsets"])
    if isinstance(dtype, str) and dtype in UNSUPPORTED:
        raise UnknownDtype(f"its type {dtype} is not supported")
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
