"""What the numbers themselves say, without any hypothesis: the scale, the weights, the mask, the
bias.

Where a query sees no more keys than d_v, its weights follow from its output: W = out v⁺. And
log W = scale · q·k + bias + a constant of the row, so that the scale is a regression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.noise import EPS
from attnviz.nn.types import Array, Bool

WORST_CONDITION = 1e4
"""Of v: beyond it weights cannot be told from outputs."""

CERTAIN = 0.999
"""R² of a regression that names a scale."""

STEPS = 24
"""Of each of the two searches for a scale."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights that the dump holds, or that follow from its outputs."""

    values: Array
    """[n_batch, n_head, n_row, n_k]; NaN where they cannot be known."""
    rows: Array
    """[n_row]: the queries."""
    error: float
    """How far they may be off."""
    recovered: bool
    """Whether they follow from the outputs."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """What follows from the numbers; None where they do not say it."""

    scale: float | None = None
    scale_name: str = ""
    """`1/√64, the head width`; empty if it is no number that is known."""
    r_squared: float | None = None
    weights: Weights | None = None
    visible: Bool | None = None
    """[n_batch, n_head, n_row, n_k]: the keys that have a weight."""
    bias: Array | None = None
    """[n_head, n_row, n_k]: what is added to the scores beside q·k, up to a constant of each row;
    NaN where it cannot be known."""
    row_sums: tuple[float, float] | None = None
    """The smallest and the largest sum of a row's weights."""

    def manifest(self) -> dict[str, Any]:
        """As JSON, without the arrays."""
        found = {
            "scale": self.scale,
            "one_over_scale_squared": None if not self.scale else self.scale**-2,
            "scale_name": self.scale_name or None,
            "r_squared": self.r_squared,
            "row_sums": None if self.row_sums is None else list(self.row_sums),
            "weights_from_outputs": self.weights is not None and self.weights.recovered,
        }
        return {name: value for name, value in found.items() if value is not None}


def recover(case: Case, judge: Judge) -> Recovered:
    """Everything that follows from what was given."""
    weights = known_weights(case, judge)
    if weights is None:
        scale = searched_scale(judge)
        name = "" if scale is None else scale_name(scale, case.wanted)
        return Recovered(scale=scale, scale_name=name)
    c = case.wanted.at(weights.rows)
    raw = compute(c).raw
    scale, fit = regressed_scale(weights, raw)
    scale = searched_scale(judge) if scale is None else scale
    known = np.isfinite(weights.values)
    sums = np.where(known.all(-1), np.nan_to_num(weights.values).sum(-1), np.nan)
    whole = sums[np.isfinite(sums)]
    return Recovered(
        scale=scale,
        scale_name="" if scale is None else scale_name(scale, case.wanted),
        r_squared=fit,
        weights=weights,
        visible=known & (weights.values > 4 * weights.error),
        bias=None if scale is None else residual_bias(weights, raw, scale),
        row_sums=(float(whole.min()), float(whole.max())) if whole.size else None,
    )


def known_weights(case: Case, judge: Judge) -> Weights | None:
    """The weights that were given, or that follow from the outputs; None if neither."""
    if "weights" in case.given and "weights" not in case.averaged:
        values = judge.given["weights"]
        return Weights(values, judge.rows, EPS[case.dtype] * 2, recovered=False)
    if "context" not in case.given:
        return None
    return weights_from_outputs(case, judge.given["context"], judge.rows)


def weights_from_outputs(case: Case, out: Array, rows: Array) -> Weights | None:
    """W = out v⁺ over the keys that each query may see, [n_batch, n_head, n_row, n_k]; NaN in rows
    that see more keys than d_v; None if all do.

    All keys are tried first, and where they are too many those that the wanted mask shows.
    """
    c = case.wanted
    v = np.asarray(c.spread(c.v, c.n_head), np.float64)
    shape = (*out.shape[:3], c.n_k)
    seen = c.at(rows).visible()
    all_keys = c.n_k <= v.shape[-1]
    allowed = np.ones(shape, bool) if all_keys or seen is None else np.broadcast_to(seen, shape)
    values, worst = np.full(shape, np.nan), 1.0
    for item, head in np.ndindex(*shape[:2]):
        for row in range(len(rows)):
            keys = np.flatnonzero(allowed[item, head, row])
            if not 0 < len(keys) <= v.shape[-1] or not np.isfinite(out[item, head, row]).all():
                continue
            part = v[item, head, keys]
            solved, _, rank, singular = np.linalg.lstsq(part.T, out[item, head, row], rcond=None)
            if rank < len(keys) or singular[0] > WORST_CONDITION * singular[-1]:
                continue
            values[item, head, row] = 0
            values[item, head, row, keys] = solved
            worst = max(worst, float(np.abs(out).max() / singular[-1]))
    if np.isnan(values).all():
        return None
    return Weights(values, rows, EPS[case.dtype] * worst, recovered=True)


def regressed_scale(weights: Weights, raw: Array) -> tuple[float | None, float | None]:
    """The scale s with which log W = s · raw + a constant of the row, and the R² of that."""
    sure = np.nan_to_num(weights.values) > 20 * weights.error
    share = np.where(sure, np.nan_to_num(weights.values), 0) ** 2
    x, y = _centred(raw, share), _centred(_log(weights.values, sure), share)
    spread = float((share * x * x).sum())
    if spread <= 0 or sure.sum(-1).max(initial=0) < 2:
        return None, None
    scale = float((share * x * y).sum()) / spread
    total = float((share * y * y).sum())
    left = float((share * (y - scale * x) ** 2).sum())
    fit = 1 - left / total if total > 0 else 1.0
    return (scale if fit >= CERTAIN else None), fit


def residual_bias(weights: Weights, raw: Array, scale: float) -> Array:
    """log W - scale · raw, less the mean of each row; NaN where W is too small to tell.

    [n_head, n_row, n_k]: the mean over the items.
    """
    sure = np.nan_to_num(weights.values) > 20 * weights.error
    left = _log(weights.values, sure) - scale * raw
    left = np.where(sure, left - _mean(left, sure), np.nan)
    count = sure.sum(0)
    total = np.nansum(left, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def searched_scale(judge: Judge) -> float | None:
    """The scale with which the wanted computation comes nearest to what was found, searched from
    1/(8 d_k) to 8 √d_k; None where none comes near."""
    c = judge.case.wanted
    low, high = math.log(1 / (8 * c.d_k)), math.log(8 * math.sqrt(c.d_k))

    def off(log_scale: float) -> float:
        return judge.off(replace(c, scale=math.exp(log_scale)))

    grid = np.linspace(low, high, STEPS)
    values = [off(float(x)) for x in grid]
    best = int(np.argmin(values))
    left, right = grid[max(best - 1, 0)], grid[min(best + 1, STEPS - 1)]
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(STEPS):
        a, b = right - golden * (right - left), left + golden * (right - left)
        if off(float(a)) < off(float(b)):
            right = b
        else:
            left = a
    scale = math.exp(float(left + right) / 2)
    return scale if judge.fit(replace(c, scale=scale)).holds else None


def scale_name(scale: float, c: Computation) -> str:
    """What a scale is, of the numbers that this attention has: `1/√64, d_k`; empty if none."""
    if scale <= 0:
        return ""
    for name, value in known_scales(c).items():
        if abs(math.log(scale / value)) < NAMED:
            return name
    return ""


NAMED = 2e-3
"""Relative difference up to which a scale has a name."""


def known_scales(c: Computation) -> Mapping[str, float]:
    """Name -> scale, for the sizes of this attention; the likeliest first."""
    d, width = c.d_k, c.facts.d_model or c.n_head * c.d_k
    roots = {"d_k": d, "d_model": width, "d_model / n_head": width / c.n_head,
             "n_head": c.n_head, "n_k": c.n_k, "n_q": c.n_q}  # fmt: skip
    scales = {f"1/√{size:g} ({name})": size**-0.5 for name, size in roots.items()}
    scales |= {"1": 1.0, f"1/{d} (1/d_k)": 1 / d, f"√{d} (√d_k)": math.sqrt(d)}
    scales |= {f"{d}^-1/4 (d_k^-1/4)": d**-0.25}
    scales |= {f"1/(√{d} ln 2)": 1 / (math.sqrt(d) * math.log(2)),
               f"ln 2/√{d}": math.log(2) / math.sqrt(d)}  # fmt: skip
    padded = {-(-d // size) * size for size in (16, 32, 64, 128, 256)}
    scales |= {f"1/√{size} (d_k padded to {size})": size**-0.5 for size in sorted(padded - {d})}
    return scales


def _log(weights: Array, sure: Bool) -> Array:
    return np.log(np.where(sure, weights, 1.0))


def _mean(x: Array, share: Array) -> Array:
    total = share.sum(-1, keepdims=True)
    return np.asarray((x * share).sum(-1, keepdims=True) / np.where(total > 0, total, 1))


def _centred(x: Array, share: Array) -> Array:
    return x - _mean(x, share)
