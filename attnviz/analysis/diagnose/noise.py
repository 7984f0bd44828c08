"""How far rounding alone takes a result from the exact one, and by what a residual is judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Stages, compute
from attnviz.nn.types import Array

DTYPES = ("float64", "float32", "float16", "bfloat16")
"""The types that a dump may have been computed in."""


def rounding(dtype: str) -> Callable[[Array], Array]:
    """What writing numbers in a type does to them: x [...] -> [...], in the type of x."""
    if dtype == "bfloat16":
        return to_bfloat16
    with np.errstate(all="ignore"):
        return lambda x: x.astype(dtype).astype(x.dtype)


def to_bfloat16(x: Array) -> Array:
    """Rounded to the nearest bfloat16, ties to even: x [...] -> [...], in the type of x."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    even = (bits >> np.uint32(16)) & np.uint32(1)
    with np.errstate(over="ignore"):
        nearest = (bits + np.uint32(0x7FFF) + even) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(x), nearest.view(np.float32), x).astype(x.dtype)


def rounded_stages(c: Computation, dtype: str) -> Stages:
    """The stages as a type gives them that rounds after every operation."""
    if dtype in ("float32", "float64"):
        return compute(c.as_type(dtype))
    return compute(c.as_type(np.float32), rounding(dtype))


def rms(x: Array) -> float:
    """√(mean of x²) of all finite numbers; 0 where there are none."""
    x = np.asarray(x, np.float64)
    x = x[np.isfinite(x)]
    return float(np.sqrt(np.mean(x * x))) if x.size else 0.0
