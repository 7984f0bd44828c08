"""What the numbers themselves say, without any hypothesis: the scale, the weights, the mask, the
bias.

Where a query sees no more keys than d_v, its weights follow from its output: W = out v⁺. And
log W = scale · q·k + bias + a constant of the row, so that the scale is a regression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.masking import Masking, in_rows, recognised
from attnviz.analysis.diagnose.minimum import minimum
from attnviz.analysis.diagnose.noise import EPS
from attnviz.nn.types import Array, Bool

WORST_CONDITION = 1e4
"""Of v: beyond it weights cannot be told from outputs."""

CERTAIN = 0.999
"""R² of a regression that names a scale."""

STEPS = 24
"""Of a first search for a scale."""

FINER = 40
"""Of the search between two of these: .618^40 is 4e-9."""


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


class SeenKeys(NamedTuple):
    """Which keys have a weight, beside those that should."""

    n_leaking: int
    """Cells that should be hidden and have a weight."""
    n_missing: int
    """Cells that should have a weight that one could notice, and have none."""
    n_cell: int
    """Cells whose weight is known."""
    masking: Masking | None
    """The rules that hide what has no weight; None where they cannot be told."""


class Bias(NamedTuple):
    """What is added to the scores beside q · k, up to a constant of each row."""

    values: Array
    """[n_head, n_row, n_k]: the mean over the items; NaN where it cannot be known."""
    rms: float
    """How far it is from the bias that is wanted, or from none."""
    slopes: Array | None
    """[n_head]: of a bias that is a multiple of the distance, as ALiBi's; else None."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """What follows from the numbers; None where they do not say it."""

    scale: float | None = None
    scale_name: str = ""
    """`1/√64 (d_k)`; empty if it is no number that is known."""
    weights: Weights | None = None
    keys: SeenKeys | None = None
    bias: Bias | None = None
    row_sums: tuple[float, float] | None = None
    """The smallest and the largest sum of a row's weights."""

    def manifest(self) -> dict[str, Any]:
        """As JSON, without the arrays."""
        found: dict[str, Any] = {}
        if self.scale is not None:
            found |= {"scale": self.scale, "scale_name": self.scale_name or None}
            found["one_over_scale_squared"] = self.scale**-2
        if self.weights is not None:
            found["weights"] = "from outputs" if self.weights.recovered else "given"
        if self.row_sums is not None:
            found["row_sums"] = list(self.row_sums)
        if self.keys is not None:
            found["mask"] = {
                "leaking": self.keys.n_leaking,
                "missing": self.keys.n_missing,
                "cells": self.keys.n_cell,
                "rules": None if self.keys.masking is None else list(self.keys.masking.parts),
            }
        if self.bias is not None:
            slopes = self.bias.slopes
            found["bias"] = {
                "rms": self.bias.rms,
                "slopes": None if slopes is None else slopes.tolist(),
            }
        return found


def recover(case: Case, judge: Judge) -> Recovered:
    """Everything that follows from what was given."""
    weights = known_weights(case, judge)
    if weights is None:
        scale = searched_scale(judge)
        return Recovered(scale, "" if scale is None else scale_name(scale, case.wanted))
    c = case.wanted.at(weights.rows)
    raw = compute(c).raw
    scale = regressed_scale(weights, raw)
    if scale is None:
        scale = searched_scale(judge)
    known = np.isfinite(weights.values).all(-1)
    sums = weights.values.sum(-1)[known]
    expected = compute(c if scale is None else replace(c, scale=scale)).weights
    return Recovered(
        scale,
        "" if scale is None else scale_name(scale, case.wanted),
        weights,
        seen_keys(weights, expected, c),
        _likely_bias(weights, raw, scale, c),
        (float(sums.min()), float(sums.max())) if sums.size else None,
    )


def known_weights(case: Case, judge: Judge) -> Weights | None:
    """The weights that were given, or that follow from the outputs; None if neither. Of all
    queries where that is cheap."""
    c = case.wanted
    cheap = c.n_q * c.n_k * c.n_head <= CHEAP
    rows = np.arange(c.n_q) if cheap else judge.rows
    return given_weights(case, rows) or weights_from_outputs(case, rows)


CHEAP = 1 << 16


def given_weights(case: Case, rows: Array) -> Weights | None:
    """The weights of the dump itself, of these queries [n_row]."""
    if "weights" not in case.given or "weights" in case.averaged:
        return None
    values = np.asarray(case.given["weights"][:, :, rows], np.float64)
    return Weights(values, rows, EPS[case.dtype] * 2, recovered=False)


def weights_from_outputs(case: Case, rows: Array) -> Weights | None:
    """The weights with which the values give the outputs of these queries [n_row]; NaN in rows
    that see more keys than d_v, and where no weights give the output; None if all are NaN.

    All keys are taken, and where they are too many those that the wanted mask shows.
    """
    if "context" not in case.given:
        return None
    out = np.asarray(case.given["context"][:, :, rows], np.float64)
    found = all_weights(case, out) or _early_weights(case, out, rows)
    if found is None:
        return None
    values, error = found
    v = np.asarray(case.wanted.spread(case.wanted.v, case.wanted.n_head), np.float64)
    left = np.abs(np.nan_to_num(values) @ v - out).max(-1)
    misfit = left > MISFIT * EPS[case.dtype] * max(1.0, float(np.abs(v).max()))
    values[misfit | ~np.isfinite(left) | (values.min(-1) < -MISFIT * error)] = np.nan
    return None if np.isnan(values).all() else Weights(values, rows, error, recovered=True)


def all_weights(case: Case, out: Array) -> tuple[Array, float] | None:
    """out v⁺ [n_batch, n_head, n_row, n_k] of outputs [n_batch, n_head, n_row, d_v], and how far
    it may be off; NaN in heads whose values do not tell keys apart. None where there are more keys
    than d_v."""
    c = case.wanted
    if not 0 < c.n_k <= c.v.shape[-1]:
        return None
    v = np.asarray(c.spread(c.v, c.n_head), np.float64)
    finite = np.asarray(np.isfinite(v).all((-1, -2)))
    singular = np.linalg.svd(np.where(finite[..., None, None], v, 0), compute_uv=False)
    good = finite & (singular[..., -1] * WORST_CONDITION >= singular[..., 0])
    good &= singular[..., -1] > 0
    if not good.any():
        return None
    values = np.full((*out.shape[:3], c.n_k), np.nan)
    values[good] = out[good] @ np.linalg.pinv(v[good])
    return values, _error(case, out, float(singular[good][:, -1].min()))


def _early_weights(case: Case, out: Array, rows: Array) -> tuple[Array, float] | None:
    """The same query by query, of those to which the wanted mask shows fewer keys than d_v."""
    c = case.wanted
    seen = c.at(rows).visible()
    if seen is None:
        return None
    v = np.asarray(c.spread(c.v, c.n_head), np.float64)
    allowed = np.broadcast_to(seen, (*out.shape[:3], c.n_k))
    values, smallest = np.full(allowed.shape, np.nan), np.inf
    for place in np.ndindex(*out.shape[:3]):
        keys = np.flatnonzero(allowed[place])
        if not 0 < len(keys) < v.shape[-1] or not np.isfinite(out[place]).all():
            continue
        part = v[place[:2]][keys]
        solved, _, rank, singular = np.linalg.lstsq(part.T, out[place], rcond=None)
        if rank == len(keys) and singular[0] <= WORST_CONDITION * singular[-1]:
            values[place] = 0
            values[place][keys] = solved
            smallest = min(smallest, float(singular[-1]))
    return None if np.isnan(values).all() else (values, _error(case, out, smallest))


def _error(case: Case, out: Array, singular: float) -> float:
    """How far weights may be off that follow from outputs, by the smallest singular value of v."""
    size = float(np.abs(out[np.isfinite(out)]).max(initial=0))
    return EPS[case.dtype] * max(1.0, size / singular)


MISFIT = 16
"""How many roundings the output may be off what recovered weights give."""


def regressed_scale(weights: Weights, raw: Array) -> float | None:
    """The scale s with which log W = s · raw + a constant of the row; None where the numbers are
    not of that form.

    raw [n_batch, n_head, n_row, n_k].
    """
    sure = _sure(weights)
    share = np.where(sure, np.nan_to_num(weights.values), 0) ** 2
    x, y = _centred(raw, share), _centred(_log(weights.values, sure), share)
    spread, total = float((share * x * x).sum()), float((share * y * y).sum())
    if spread <= 0 or total <= 0 or sure.sum(-1).max(initial=0) < 2:
        return None
    scale = float((share * x * y).sum()) / spread
    left = float((share * (y - scale * x) ** 2).sum())
    return scale if 1 - left / total >= CERTAIN else None


def seen_keys(weights: Weights, wanted: Array, c: Computation) -> SeenKeys:
    """Which keys have a weight, beside those that should, [n_batch, n_head, n_row, n_k] with the
    scale that was found."""
    known = np.isfinite(weights.values)
    seen = known & (np.abs(np.nan_to_num(weights.values)) > SURE * weights.error)
    noticed = wanted > 5 * SURE * weights.error
    whole = bool(known.all()) and len(weights.rows) == c.n_q
    doubtful = bool((~seen & (wanted > 0) & ~noticed).any())
    masking = recognised(seen, c.n_q) if whole and not doubtful else None
    return SeenKeys(
        int((seen & (wanted == 0)).sum()), int((known & ~seen & noticed).sum()), int(known.sum()),
        masking,
    )  # fmt: skip


def _likely_bias(weights: Weights, raw: Array, scale: float | None, c: Computation) -> Bias | None:
    """The bias beside the scale that was found; where none was, beside the one that is wanted, if
    that makes it a multiple of the distance."""
    if scale is not None:
        return found_bias(weights, raw, scale, c)
    bias = found_bias(weights, raw, float(np.mean(c.scale)), c)
    return None if bias is None or bias.slopes is None else bias


def found_bias(weights: Weights, raw: Array, scale: float, c: Computation) -> Bias | None:
    """log W - scale · raw, less the mean of each row; None where it is what is wanted.

    raw [n_batch, n_head, n_row, n_k].
    """
    sure = _sure(weights)
    left = _log(weights.values, sure) - scale * raw
    wanted = 0.0 if c.bias is None else np.broadcast_to(in_rows(c.bias, c.rows), left.shape)
    apart = np.where(sure, _centred(left - wanted, sure), 0)
    error = np.where(sure, weights.error / np.where(sure, weights.values, 1), 0)
    off = float(np.sqrt((apart**2).sum() / max(int(sure.sum()), 1)))
    expected = float(np.sqrt((error**2).sum() / max(int(sure.sum()), 1)))
    if off <= BIASED * max(expected, weights.error):
        return None
    count = sure.sum(0)
    own = np.where(sure, _centred(left, sure), 0)
    values = np.where(count > 0, own.sum(0) / np.maximum(count, 1), np.nan)
    return Bias(values, off, _slopes(own, sure, c))


def _slopes(own: Array, sure: Bool, c: Computation) -> Array | None:
    """The m of each head with which a bias is -m times the distance; None if it is not."""
    distance = np.broadcast_to(c.masking.distance(c.rows, c.n_k).astype(float), own.shape)
    x = np.where(sure, _centred(distance, sure), 0)
    spread, total = (x * x).sum((0, 2, 3)), (own * own).sum((0, 2, 3))
    if not (spread > 0).all() or not (total > 0).any():
        return None
    slopes = -(x * own).sum((0, 2, 3)) / spread
    left = ((own + slopes[:, None, None] * x) ** 2).sum((0, 2, 3))
    return np.asarray(slopes) if (left <= (1 - CERTAIN) * total.max()).all() else None


def _sure(weights: Weights) -> Bool:
    return np.asarray(np.nan_to_num(weights.values) > 5 * SURE * weights.error)


SURE = 4
"""A weight of at least so many times its error is there."""

BIASED = 8
"""A bias of so many times its error is there."""


def searched_scale(judge: Judge) -> float | None:
    """The scale with which the wanted computation comes nearest to what was found, searched from
    1/(8 d_k) to 8 √d_k; None where none comes near."""
    c = judge.case.wanted
    low, high = math.log(1 / (8 * c.d_k)), math.log(8 * math.sqrt(c.d_k))

    def off(log_scale: float) -> float:
        return judge.off(replace(c, scale=math.exp(log_scale)))

    scale = math.exp(minimum(off, low, high, steps=STEPS, sections=FINER))
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
