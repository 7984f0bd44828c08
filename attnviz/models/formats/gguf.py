"""GGUF files, memory-mapped: the blocks of a tensor become float32 when it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import Rows
from attnviz.models.formats.gguf_header import Header, TensorInfo, read_header
from attnviz.models.formats.mapped import mapped, widened
from attnviz.nn.types import Array

PLAIN = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Types without blocks; NumPy has no bfloat16: widened on reading."""

CHUNK = 1 << 16
"""Numbers that are dequantised in one step: their intermediate values stay in the cache."""


class Packing(NamedTuple):
    """How a type packs numbers into blocks, along the last axis."""

    kind: Any
    """gguf.GGMLQuantizationType"""
    name: str
    n_number: int
    """Numbers in a block."""
    n_byte: int


class Stored(NamedTuple):
    """Where a tensor lies, checked against the file."""

    shape: tuple[int, ...]
    packing: Packing
    first: int
    last: int


class GGUFFile:
    """One file, with its metadata by their keys."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        _check_package(self.path)
        self._map = mapped(path)
        header = read_header(self._map, self.path)
        self.metadata: Mapping[str, Any] = header.metadata
        self._tensors = _placed(header, len(self._map), self.path)
        self.n_byte = len(self._map)
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}

    def copies(self, name: str) -> bool:
        return self._tensors[name].packing.name != "F32"

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor, or some of its rows, as float32; what is stored so stays in the file."""
        shape, packing, first, last = self._tensors[name]
        data = np.frombuffer(self._map, np.uint8, last - first, first)
        rows = slice(None) if rows is None else rows
        if packing.name in PLAIN:
            array = data.view(PLAIN[packing.name]).reshape(shape)[rows]
            return (
                widened(array) if packing.name == "BF16" else array.astype(np.float32, copy=False)
            )
        if len(shape) < 2:  # its rows are single numbers
            return _dequantised(data, packing).reshape(shape)[rows]
        data = data.reshape(shape[0], -1)[rows]
        return _dequantised(data, packing).reshape(len(data), *shape[1:])

    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self._map).hexdigest()


def _dequantised(data: Array, packing: Packing) -> Array:
    """Bytes of any shape -> the numbers in them, in a row."""
    from gguf.quants import dequantize

    blocks = data.reshape(-1, packing.n_byte)
    numbers = np.empty((len(blocks), packing.n_number), np.float32)
    step = CHUNK // packing.n_number
    with np.errstate(all="ignore"):  # what is not finite is looked for where it is shown
        for start in range(0, len(blocks), step):
            some = blocks[start : start + step]
            numbers[start : start + step] = dequantize(some.reshape(1, -1), packing.kind).reshape(
                len(some), -1
            )
    return numbers


def _check_package(path: str) -> None:
    """Raise AttnvizError if gguf, which is an extra, is not there."""
    if find_spec("gguf") is None:
        raise AttnvizError(f"{path} needs the package `gguf`", "pip install 'attnviz[models]'")


def _placed(header: Header, size: int, path: str) -> dict[str, Stored]:
    """The tensors, each within the file and none over another."""
    placed = {
        name: _place(name, tensor, header.start, path) for name, tensor in header.tensors.items()
    }
    before, end = "", 0
    for name, tensor in sorted(placed.items(), key=lambda item: (item[1].first, item[1].last)):
        if tensor.last > size:
            raise AttnvizError(
                f"{path} is incomplete: the tensor {name} ends at byte {tensor.last}, "
                f"the file at {size}",
                "download it again",
            )
        if tensor.first < end:
            raise AttnvizError(
                f"{path} is damaged: the tensors {before} and {name} overlap", "download it again"
            )
        before, end = name, tensor.last
    return placed


def _place(name: str, tensor: TensorInfo, start: int, path: str) -> Stored:
    packing = _packing(tensor.type_number)
    if packing is None:
        raise AttnvizError(
            f"{path}: the tensor {name} is of {_type_name(tensor.type_number)}, "
            "which cannot be converted to numbers here",
            "take a file in F16, Q8_0, Q4_K or another of the common types",
        )
    width = tensor.shape[-1] if tensor.shape else 1
    if width % packing.n_number:
        raise AttnvizError(
            f"{path} is damaged: the tensor {name} has rows of {width} numbers, "
            f"and {packing.name} packs them by {packing.n_number}",
            "download it again",
        )
    first = start + tensor.offset
    n_block = prod(tensor.shape) // packing.n_number
    return Stored(tensor.shape, packing, first, first + n_block * packing.n_byte)


@cache
def _packing(number: int) -> Packing | None:
    """The packing of a `ggml_type`, if gguf can undo it."""
    import gguf

    try:
        kind = gguf.GGMLQuantizationType(number)
        n_number, n_byte = gguf.GGML_QUANT_SIZES[kind]
        gguf.dequantize(np.zeros((1, n_byte), np.uint8), kind)
    except (ValueError, KeyError, NotImplementedError):
        return None
    return Packing(kind, kind.name, n_number, n_byte)


def _type_name(number: int) -> str:
    import gguf

    try:
        return f"the type {gguf.GGMLQuantizationType(number).name}"
    except ValueError:
        return f"the unknown type {number}"
