"""One stage of a dump beside ours."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.noise import rms, rounding
from attnviz.analysis.diagnose.port.dump import Given, arrangements
from attnviz.analysis.diagnose.port.stages import At, Stages
from attnviz.nn.types import Array
from attnviz.trace.projections import BFLOAT16, precision

RMS_LIMIT, LARGEST_LIMIT = 4.0, 10.0
"""How many times the rounding of our own pass may be in the difference: another order of the sums,
fused operations."""

LEAST = 0.5
"""Of the type's relative precision: rounding of a number is at least as large."""

NEVER = -1e4
"""A score of at most this is as good as -inf."""


class Floor(NamedTuple):
    """What rounding explains of a stage."""

    rms: float
    largest: float


class Row(NamedTuple):
    """A stage of the dump, and how far it is from ours."""

    at: At
    name: str
    """Of the array in the dump."""
    how: str
    """How its axes were read, where that is not plain."""
    rms: float
    """Of the difference; ∞ where no reading of the array has the shape."""
    largest: float
    where: tuple[int, ...]
    """Where the largest is."""
    floor: Floor
    shape: tuple[int, ...] = ()
    """Of the array, where it does not fit."""
    elsewhere: bool = False
    """It differs, and what is computed from it does not: the port keeps it at another point."""

    @property
    def holds(self) -> bool:
        return self.rms <= self.floor.rms and self.largest <= self.floor.largest

    @property
    def deviates(self) -> bool:
        """Whether it differs, and not only by where the port keeps it."""
        return not self.holds and not self.elsewhere

    def manifest(self) -> dict[str, Any]:
        """As JSON."""
        fits = bool(np.isfinite(self.rms))
        return {
            "stage": self.at.name,
            "array": self.name,
            "read_as": self.how,
            "rms": self.rms if fits else None,
            "max": self.largest if np.isfinite(self.largest) else None,
            "at": list(self.where),
            "rms_of_rounding": self.floor.rms,
            "max_of_rounding": self.floor.largest,
            "matches": self.holds,
            "elsewhere": self.elsewhere,
        }


def dtype_of(x: Array) -> str:
    """Of `noise.DTYPES`: the narrowest that holds the numbers.

    x [...].
    """
    eps = precision(x)
    if eps == BFLOAT16:
        return "bfloat16"
    return next(
        (name for name in ("float16", "float32") if eps == float(np.finfo(name).eps)), "float64"
    )


def floor_of(ours: Array, exact: Array, half: Array | None, dtype: str) -> Floor:
    """What rounding explains of a stage: ours in float32, in float64, and as half precision has
    it.

    ours, exact and half [...] have one shape.
    """
    eps = {"bfloat16": BFLOAT16, "float64": float(np.finfo("float32").eps)}.get(dtype)
    eps = float(np.finfo(dtype).eps) if eps is None else eps
    size = np.where(np.isfinite(exact), exact, 0)
    gaps = [_gap(ours, exact)]
    if half is not None:
        gaps.append(_gap(rounding(dtype)(half), exact))
    return Floor(
        RMS_LIMIT * max(LEAST * eps * rms(size), *map(rms, gaps)),
        LARGEST_LIMIT
        * max(LEAST * eps * float(np.abs(size).max(initial=0)), *(_largest(gap) for gap in gaps)),
    )


def _gap(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore"):
        gap = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return np.where(np.isfinite(gap), gap, 0)


def _largest(x: Array) -> float:
    return float(np.abs(x).max(initial=0))


def apart(ours: Array, theirs: Array) -> Array:
    """|ours - theirs|; ∞ where one is a number and the other is not. A score that is as good as
    -inf is -inf.

    ours and theirs [...] -> [...].
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    with np.errstate(invalid="ignore"):
        theirs = np.where((theirs <= NEVER) & np.isneginf(ours), -np.inf, theirs)
        gap = np.abs(ours - theirs)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return np.where(same, 0, np.where(np.isnan(gap), np.inf, gap))


class Fitted(NamedTuple):
    """An array of the dump as a stage of ours."""

    at: At
    how: str
    array: Array
    gap: Array


def fitted(given: Given, ours: Stages, item: int, kept: Array) -> Fitted | None:
    """The reading of an array that is nearest to ours; None if none has the shape.

    kept [n]: True where a token is no padding.
    """
    found = [
        Fitted(at, how, array, apart(ours[at], array))
        for at in given.ats
        if at in ours
        for how, array in arrangements(given.array, ours[at].shape, at.stage, item, kept)
    ]
    if not found:
        return None
    best = min(found, key=lambda each: total(each.gap))
    first = found[0]
    return best if total(best.gap) < total(first.gap) / 4 else first


def total(gap: Array) -> float:
    """√(mean of the squares), ∞ included.

    gap [...].
    """
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(np.square(gap)))) if gap.size else 0.0


def row(given: Given, fit: Fitted | None, floor: Floor) -> Row:
    """The comparison of one stage."""
    if fit is None:
        at = given.ats[0]
        return Row(at, given.name, "", np.inf, np.inf, (), floor, given.array.shape)
    where = np.unravel_index(int(fit.gap.argmax()), fit.gap.shape)
    place = tuple(map(int, where))
    return Row(fit.at, given.name, fit.how, total(fit.gap), float(fit.gap.max()), place, floor)
