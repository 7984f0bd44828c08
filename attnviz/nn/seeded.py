"""Random numbers that stay the same with every release of NumPy, on any machine up to rounding.

NumPy promises no such thing for its generators (NEP 19), and importing them would cost a
twentieth of the start of the command line.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from attnviz.nn.types import Array

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 1 << 15


def normal(shape: tuple[int, ...], *key: int | str) -> Array:
    """Independent N(0, 1) numbers [...] of this shape, float32.

    The key, `(seed, "name", …)`, decides them all.

    SplitMix64 (Steele et al. 2014) for the bits, Box and Muller (1958) for the distribution.
    """
    size = math.prod(shape)
    numbers = np.empty((size + 1) // 2 * 2, np.float32)
    seed = _seed(key)
    for start in range(0, len(numbers) // 2, BLOCK):
        pairs = numbers.reshape(-1, 2)[start : start + BLOCK]
        bits = _splitmix(seed, start, len(pairs))
        # in the open interval (0, 1): the logarithm of 0 would be infinite
        uniform = ((bits >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * np.float32(
            2**-24
        )
        radius = np.sqrt(np.log(uniform) * np.float32(-2))
        angle = (bits & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2 * math.pi * 2**-24)
        np.multiply(radius, np.cos(angle), out=pairs[:, 0])
        np.multiply(radius, np.sin(angle), out=pairs[:, 1])
    return numbers[:size].reshape(shape)


def _seed(key: tuple[int | str, ...]) -> int:
    text = repr(key).encode()
    return zlib.crc32(text) << 32 | zlib.crc32(text[::-1])


def _splitmix(seed: int, start: int, count: int) -> Array:
    """The numbers start, …, start + count - 1 of the sequence, 64 bits each."""
    z = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    z *= GOLDEN
    z += np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return z
