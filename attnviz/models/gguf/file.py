"""GGUF files, memory-mapped: a tensor is dequantised when it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.archive.safetensors import widen_bfloat16
from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import Rows
from attnviz.models.formats.content import map_file
from attnviz.models.gguf.header import Header, TensorInfo, read_header
from attnviz.nn.types import Array

PLAIN = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8", "I8": "<i1", "I16": "<i2",
         "I32": "<i4", "I64": "<i8"}  # fmt: skip
"""Types without blocks; NumPy has no bfloat16: widened on reading."""

CHUNK = 1 << 16
"""How many numbers are dequantised in one step, so that intermediate values stay in the cache."""


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
    """One file, with its metadata by key."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        _check_package(self.path)
        self._map = map_file(path)
        header = read_header(self._map, self.path)
        self.metadata: Mapping[str, Any] = header.metadata
        self._tensors = _locate_all(header, len(self._map), self.path)
        self.n_byte = len(self._map)
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}

    def copies(self, name: str) -> bool:
        return self._tensors[name].packing.name != "F32"

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor, or some of its rows, as float32; what is float32 or float64 is not copied."""
        shape, packing, first, last = self._tensors[name]
        data = np.frombuffer(self._map, np.uint8, last - first, first)
        rows = slice(None) if rows is None else rows
        if packing.name in PLAIN:
            array = data.view(PLAIN[packing.name]).reshape(shape)[rows]
            if packing.name == "BF16":
                return widen_bfloat16(array)
            return array.astype(np.float64 if packing.name == "F64" else np.float32, copy=False)
        if len(shape) < 2:  # its rows are single numbers
            return _dequantised(data, packing).reshape(shape)[rows]
        data = data.reshape(shape[0], -1)[rows]
        return _dequantised(data, packing).reshape(len(data), *shape[1:])

    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self._map).hexdigest()


def _dequantised(data: Array, packing: Packing) -> Array:
    """Bytes of any shape -> the numbers in them, [n_block, n_number]."""
    from gguf.quants import dequantize

    blocks = data.reshape(-1, packing.n_byte)
    numbers = np.empty((len(blocks), packing.n_number), np.float32)
    step = CHUNK // packing.n_number
    with np.errstate(all="ignore"):  # NaN and infinity are reported where they are shown
        for start in range(0, len(blocks), step):
            chunk = blocks[start : start + step]
            values = dequantize(chunk.reshape(1, -1), packing.kind)
            numbers[start : start + step] = values.reshape(len(chunk), -1)
    return numbers


def _check_package(path: str) -> None:
    """Raise AttnvizError if the package gguf, which is optional, is not installed."""
    if find_spec("gguf") is None:
        raise AttnvizError(f"{path} needs the package `gguf`", "pip install 'attnviz[models]'")


def _locate_all(header: Header, size: int, path: str) -> dict[str, Stored]:
    """Where the tensors lie, each inside the file, none overlapping another."""
    tensors = {
        name: _locate(name, tensor, header.start, path) for name, tensor in header.tensors.items()
    }
    previous, end = "", 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].first, item[1].last)):
        if tensor.last > size:
            raise AttnvizError(
                f"{path} is incomplete: the tensor {name} ends at byte {tensor.last}, "
                f"but the file ends at {size}",
                "download it again",
            )
        if tensor.first < end:
            raise AttnvizError(
                f"{path} is damaged: the tensors {previous} and {name} overlap", "download it again"
            )
        previous, end = name, tensor.last
    return tensors


def _locate(name: str, tensor: TensorInfo, start: int, path: str) -> Stored:
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
            f"but {packing.name} packs {packing.n_number} in a block",
            "download it again",
        )
    first = start + tensor.offset
    n_block = prod(tensor.shape) // packing.n_number
    return Stored(tensor.shape, packing, first, first + n_block * packing.n_byte)


@cache
def _packing(number: int) -> Packing | None:
    """The packing of a `ggml_type`, if the package gguf can undo it."""
    import gguf

    try:
        kind = gguf.GGMLQuantizationType(number)
        n_number, n_byte = gguf.GGML_QUANT_SIZES[kind]
        if kind.name not in PLAIN:
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
