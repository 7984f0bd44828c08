"""The header of a GGUF file, versions 2 and 3: metadata, and where each tensor lies.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every length is checked against
the file before anything of that length is made.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.formats.content import N_BYTE, kind_of

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT, ARCHITECTURE = "general.alignment", "general.architecture"

SCALARS = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
           10: "<u8", 11: "<i8", 12: "<f8"}  # fmt: skip
"""NumPy's names for the types of metadata that have a fixed size."""
STRING, ARRAY = 8, 9

MAX_VALUES = 1 << 22
"""In all lists of the metadata: a vocabulary has a quarter of a million texts, scores and types,
and twice as many merges."""
MAX_TEXT = 1 << 24
"""Bytes in a text: the longest are templates of chats, of some 20 000."""
MAX_TENSORS = 1 << 18
MAX_LENGTH = 1 << 28
"""Bytes of the header: a file with holes may have any size, and takes no room on the disk."""
MAX_AXES = 4


class TensorInfo(NamedTuple):
    """What the header says of a tensor."""

    shape: tuple[int, ...]
    """Slowest axis first, unlike in the file."""
    type_number: int
    """Of the enumeration `ggml_type`."""
    offset: int
    """Bytes from the start of the data."""


class Header(NamedTuple):
    """Everything before the data of the tensors."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    start: int
    """Where in the file the data of the tensors begin."""


def read_header(data: Any, path: str) -> Header:
    """The header of a file, `data` being its bytes or a map of them."""
    cursor, n_tensor, n_metadata = _opened(data, path)
    metadata: dict[str, Any] = {}
    for key, value in cursor.fields(n_metadata):
        if key in metadata:
            raise cursor.damaged(f"the metadata {key} appears twice")
        metadata[key] = value
    tensors: dict[str, TensorInfo] = {}
    for _ in range(n_tensor):
        name = cursor.text()
        if name in tensors:
            raise cursor.damaged(f"the tensor {name} appears twice")
        tensors[name] = cursor.tensor(name)
    alignment = metadata.get(ALIGNMENT, 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise cursor.damaged(f"{ALIGNMENT} is {alignment}; expected a power of two")
    return Header(metadata, tensors, cursor.at + -cursor.at % alignment)


def read_architecture(data: Any, path: str) -> str | None:
    """The architecture that the file names; metadata behind it are not read."""
    cursor, _, n_metadata = _opened(data, path)
    return next((str(v) for key, v in cursor.fields(n_metadata) if key == ARCHITECTURE), None)


def _opened(data: Any, path: str) -> tuple[_Cursor, int, int]:
    """(a cursor at the metadata, how many tensors there are, how many fields of metadata)."""
    _check_kind(data, path)
    cursor = _Cursor(data, path)
    cursor.at = len(MAGIC) + 4
    n_tensor, n_metadata = cursor.integer(8), cursor.integer(8)
    cursor.check_count(n_tensor, 24, "tensors")
    cursor.check_count(n_metadata, 13, "fields of metadata")
    if n_tensor > MAX_TENSORS:
        raise cursor.damaged(f"it says that it has {n_tensor} tensors")
    return cursor, n_tensor, n_metadata


def _check_kind(data: Any, path: str) -> None:
    """Raise AttnvizError unless this is a GGUF file of a known version."""
    first = bytes(data[:N_BYTE])
    if first[:4] != MAGIC:
        description, hint = kind_of(first) or (
            f"begins with {first[:4]!r}, not {MAGIC!r}",
            "download it again; files from before August 2023 must be converted again",
        )
        raise AttnvizError(f"{path} is not a GGUF file, but {description}", hint)
    if len(first) < 24:
        raise AttnvizError(f"{path} is damaged: it ends in its header", "download it again")
    version = int.from_bytes(first[4:8], "little")
    if version and not version & 0xFFFF:
        raise AttnvizError(
            f"{path} is a big-endian GGUF file", "convert it with gguf-convert-endian"
        )
    if version not in VERSIONS:
        raise AttnvizError(
            f"{path} is GGUF version {version}; known: {', '.join(map(str, VERSIONS))}",
            "convert the model again with llama.cpp's convert_hf_to_gguf.py",
        )


class _Cursor:
    """Reads one value after the other, never beyond the end."""

    def __init__(self, data: Any, path: str) -> None:
        self._data = data
        self._end = min(len(data), MAX_LENGTH)
        self._what_ends = "the file" if self._end == len(data) else "what is read of its header"
        self._n_value = 0
        self._path = path
        self.at = 0

    def damaged(self, problem: str) -> AttnvizError:
        return AttnvizError(f"{self._path} is damaged: {problem}", "download it again")

    def check_count(self, count: int, n_byte: int, what: str) -> None:
        """Raise AttnvizError unless `count` things of at least `n_byte` each fit into the rest."""
        if count * n_byte > self._end - self.at:
            raise self.damaged(
                f"it says that {count} {what} follow byte {self.at}, but {self._what_ends} ends "
                f"at {self._end}"
            )

    def _count_values(self, count: int) -> None:
        self._n_value += count
        if self._n_value > MAX_VALUES:
            raise self.damaged(f"its metadata hold more than {MAX_VALUES} values")

    def integer(self, n_byte: int) -> int:
        self.check_count(1, n_byte, "whole number")
        self.at += n_byte
        return int.from_bytes(self._data[self.at - n_byte : self.at], "little")

    def text(self) -> str:
        return self._texts(1)[0]

    def fields(self, count: int) -> Iterator[tuple[str, Any]]:
        """`count` fields of metadata, each as it is read."""
        for _ in range(count):
            yield self.text(), self.value(self.integer(4))

    def value(self, kind: int) -> Any:
        """The metadata at the cursor: a number, a truth value, a text, or a list of these."""
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self._scalars(kind, 1)[0]
        kind, count = self.integer(4), self.integer(8)
        return self._texts(count) if kind == STRING else self._scalars(kind, count)

    def tensor(self, name: str) -> TensorInfo:
        n_axis = self.integer(4)
        if n_axis > MAX_AXES:
            raise self.damaged(f"the tensor {name} has {n_axis} axes")
        shape = tuple(self.integer(8) for _ in range(n_axis))[::-1]
        if 0 in shape:
            raise self.damaged(f"the tensor {name} has the shape {list(shape)}")
        return TensorInfo(shape, self.integer(4), self.integer(8))

    def _scalars(self, kind: int, count: int) -> list[Any]:
        if kind not in SCALARS:
            raise self.damaged(f"metadata of the unknown type {kind} before byte {self.at}")
        dtype = np.dtype(SCALARS[kind])
        self.check_count(count, dtype.itemsize, "numbers")
        self._count_values(count)
        values: list[Any] = np.frombuffer(self._data, dtype, count, self.at).tolist()
        self.at += count * dtype.itemsize
        return values

    def _texts(self, count: int) -> list[str]:
        """In one loop without calls, for speed: a vocabulary has many."""
        self.check_count(count, 8, "texts")
        self._count_values(count)
        data, end, at, length = self._data, self._end, self.at, struct.Struct("<Q").unpack_from
        texts = []
        try:
            for _ in range(count):
                start = at + 8
                at = start + length(data, at)[0]
                if at > end:
                    raise self.damaged(f"a text ends at byte {at}, {self._what_ends} at {end}")
                if at - start > MAX_TEXT:
                    raise self.damaged(f"a text has {at - start} bytes")
                texts.append(str(data[start:at], "utf-8"))
        except struct.error:
            raise self.damaged(f"it ends within a list of {count} texts") from None
        except UnicodeDecodeError:
            raise self.damaged(f"the text that ends at byte {at} is not UTF-8") from None
        self.at = at
        return texts
