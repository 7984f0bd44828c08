"""How far rounding alone takes a result from the exact one, and by what a residual is judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Stages, compute, dot
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


EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The distance from 1 to the next number of a type."""

SHARE = {"float64": 1.0, "float32": 0.3, "float16": 0.3, "bfloat16": 0.3}
"""Of the error that a bound allows, what is typical. In float64 the exact result is not at hand:
both sides have errors."""


def noise(c: Computation, exact: Stages, dtype: str) -> Stages:
    """How far rounding in a type takes each stage from the exact one, as an rms of each row:
    [n_row], every stage.

    The difference to a computation that rounds after every operation, over all items and heads;
    and, as one computation is one sample, what the errors of its operations add up to.
    """
    off = rounded_stages(c, dtype)
    bounds = _bounds(c, exact, EPS[dtype])
    with np.errstate(invalid="ignore"):
        each = [
            np.hypot(row_rms(a - b), SHARE[dtype] * row_rms(bound))
            for a, b, bound in zip(off, exact, bounds, strict=True)
        ]
    return Stages(*each)


def _bounds(c: Computation, exact: Stages, eps: float) -> Stages:
    """The size of the errors of each stage, in its shape: of every product in a sum its own,
    which mostly cancel; and an error of a logit is a relative error of its weight."""
    with np.errstate(all="ignore"):
        raw = eps * np.sqrt(dot(c.q**2, c.spread(c.k, c.n_head) ** 2))
        size = np.where(np.isfinite(exact.logits), np.abs(exact.logits), 0)
        shares = np.nan_to_num(np.abs(exact.weights))
        relative = eps * (1 + size + (shares * size).sum(-1, keepdims=True))
        weights = relative * shares
        context = np.sqrt((weights**2) @ c.spread(c.v, c.n_head) ** 2)
    return Stages(raw, eps * np.abs(exact.scores), eps * np.abs(exact.capped), eps * size,
                  weights, context)  # fmt: skip


def row_rms(x: Array) -> Array:
    """The rms of every query over all else: [n_batch, n_head, n_row, …] -> [n_row]; of finite
    numbers only."""
    x = np.asarray(x, np.float64)
    finite = np.isfinite(x)
    squares = np.where(finite, x, 0) ** 2
    axes = tuple(axis for axis in range(x.ndim) if axis != 2)
    return np.asarray(np.sqrt(squares.sum(axes) / np.maximum(finite.sum(axes), 1)))


def rms(x: Array) -> float:
    """√(mean of x²) of all finite numbers; 0 where there are none.

    x [...].
    """
    x = np.asarray(x, np.float64)
    x = x[np.isfinite(x)]
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(x * x))) if x.size else 0.0
