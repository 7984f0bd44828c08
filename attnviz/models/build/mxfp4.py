"""Weights of four bits in blocks of 32 that share a power of two: exact, as every value is a
float32. Source: Open Compute Project 2023, Microscaling Formats 1.0, section 5."""

from __future__ import annotations

import numpy as np

from attnviz.nn.types import Array

PER_BLOCK = 32
VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
"""Of E2M1: a sign, two bits of the exponent and one of the fraction."""

BIAS = 127
"""Of the exponent in a block's scale, E8M0."""


def unpacked(blocks: Array, scales: Array) -> Array:
    """blocks uint8 [..., n_block, 16], scales uint8 [..., n_block] -> [..., n_block·32].

    The lower half of a byte comes before the upper one, as in OpenAI's files of gpt-oss.
    """
    pairs = np.stack([VALUES[blocks & 15], VALUES[blocks >> 4]], -1)
    exponents = scales.astype(np.int32)[..., None] - BIAS
    numbers: Array = np.ldexp(pairs.reshape(*blocks.shape[:-1], PER_BLOCK), exponents)
    return np.asarray(numbers.reshape(*blocks.shape[:-2], -1))
