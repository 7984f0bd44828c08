"""The two formats of eight bits for numbers: sign, exponent, mantissa.

Source: Micikevicius et al. 2022 (FP8 formats for deep learning), table 1; ml_dtypes calls them
float8_e4m3fn and float8_e5m2.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from attnviz.nn.types import Array

FLOAT8 = {"F8_E4M3": (4, 3), "F8_E5M2": (5, 2)}
"""By the names of the safetensors format: bits of exponent and mantissa."""


def widen_float8(bits: Array, name: str) -> Array:
    """The bits (uint8) of numbers of a format of FLOAT8, of any shape, as float32: exact."""
    numbers: Array = _table(name)[bits]
    return numbers


@cache
def _table(name: str) -> Array:
    """[256]: the number that each byte stands for."""
    n_exponent, n_mantissa = FLOAT8[name]
    bits = np.arange(256)
    mantissa = (bits & (1 << n_mantissa) - 1) / (1 << n_mantissa)
    exponent = bits >> n_mantissa & (1 << n_exponent) - 1
    bias = (1 << n_exponent - 1) - 1
    subnormal = exponent == 0
    size = (mantissa + ~subnormal) * 2.0 ** (np.maximum(exponent, 1) - bias)
    last = exponent == (1 << n_exponent) - 1
    if name == "F8_E4M3":  # no infinity: one number more, and one NaN
        size[last & (bits & 7 == 7)] = np.nan
    else:
        size[last] = np.where(mantissa[last] == 0, np.inf, np.nan)
    signed: Array = np.where(bits < 128, size, -size).astype(np.float32)
    return signed
