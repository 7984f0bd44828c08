"""Arrays as compressed blocks, which a page unpacks when it needs them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from attnviz.nn.types import Array

FLOAT32, FLOAT16, ROUNDED = 24, 11, 7
"""Significant bits of the numbers of a page."""


def bits_for(count: int) -> int:
    """How exactly so many numbers are stored: a page is to stay under 4 MB as long as it can."""
    return FLOAT32 if count <= 400_000 else FLOAT16 if count <= 1_500_000 else ROUNDED


Ref = dict[str, Any]


class Packer:
    """Collects arrays by block; an array that is there already is not stored again."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._arrays: dict[str, list[Array]] = {}
        self._known: dict[tuple[str, bytes], Ref] = {}

    def numbers(self, block: str, values: Array) -> Ref:
        """A reference to real numbers, [...], rounded to the packer's bits."""
        exact = self.bits == FLOAT32
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(values, np.float32 if exact else np.float16)
        if self.bits < FLOAT16:
            stored = _rounded(stored, FLOAT16 - self.bits)
        return self._add(block, stored)

    def counts(self, block: str, values: Array) -> Ref:
        """A reference to whole numbers from 0 to 255."""
        return self._add(f"{block}-masks", np.ascontiguousarray(values, np.uint8))

    def places(self, block: str, values: Array) -> Ref:
        """A reference to whole numbers of any sign, below 2³¹."""
        return self._add(f"{block}-places", np.ascontiguousarray(values, np.int32))

    def _add(self, block: str, values: Array) -> Ref:
        key = values.dtype.str, values.tobytes()
        if key not in self._known:
            arrays = self._arrays.setdefault(block, [])
            offset = sum(array.size for array in arrays)
            arrays.append(values.reshape(-1))
            self._known[key] = {"block": block, "offset": offset, "count": values.size}
        return self._known[key]

    def blocks(self) -> dict[str, tuple[str, bytes]]:
        """By name what kind of numbers a block has (`f4`, `f2`, `i4`, `u1`), and the numbers."""
        joined = {name: np.concatenate(arrays) for name, arrays in self._arrays.items()}
        return {
            name: (values.dtype.str[1:], _compressed(_planes(values)))
            for name, values in joined.items()
        }


def _compressed(content: bytes) -> bytes:
    """zlib's format; among random numbers its search for repetitions costs much and finds little,
    so it is thorough only where a quick one has found some."""
    plain = _packed(content, 9, zlib.Z_HUFFMAN_ONLY)
    if len(plain) <= len(_packed(content, 4, zlib.Z_DEFAULT_STRATEGY)):
        return plain
    return _packed(content, 9, zlib.Z_DEFAULT_STRATEGY)


def _packed(content: bytes, level: int, strategy: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
    return packer.compress(content) + packer.flush()


def _rounded(values: Array, dropped: int) -> Array:
    """float16 whose last bits are zero, which leaves less to store."""
    bits = values.view(np.uint16).astype(np.uint32)
    kept = ((bits + (1 << dropped >> 1)) >> dropped << dropped).astype(np.uint16)
    return np.where(np.isfinite(values), kept.view(np.float16), values)


def _planes(values: Array) -> bytes:
    """All lowest bytes first, then the next: neighbours are alike, and compress better."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return little.view(np.uint8).reshape(-1, little.itemsize).T.tobytes()
