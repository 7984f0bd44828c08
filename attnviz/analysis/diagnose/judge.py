"""How well a computation explains what was found, measured against what rounding explains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.case import GIVEN, Case
from attnviz.analysis.diagnose.computation import Computation, Stages, as_it_is, compute
from attnviz.analysis.diagnose.hiding import weights_where_empty
from attnviz.analysis.diagnose.noise import noise, rms
from attnviz.nn.types import Array, Bool

LIMIT = 2.5
"""An rms of so many times the noise is still rounding: the noise is known to a factor of two."""

ROW_LIMIT = 6.0
"""The same of one row alone, of which fewer numbers are known."""

HIDDEN = -1e4
"""A logit of at most this is as good as -inf."""

OVERFLOWS = 0.02
"""Of the numbers that are NaN or infinite on one side: how many may not be on the other. Where
sums overflow depends on their order."""

MOSTLY = 0.75
"""A computation in which more queries than this see no key explains nothing."""

TINY = 1e-300

SENSITIVE = 40.0
"""How many times as sensitive to rounding as the reference a computation may be."""

CLOSER = 0.05
"""One that leaves less than this part of the reference's deviation may be more sensitive yet."""

MANY = 1 << 12
"""Cells of one head."""

ANY = {"scores": ("scores", "raw", "capped", "logits"), "logits": ("logits", "capped")}
"""What is called scores or logits may be one of these stages."""


class Fit(NamedTuple):
    """What a computation leaves unexplained of what was found."""

    computation: Computation
    off: Array
    """The differences in units of the rows' noise, all stages behind one another, [n]."""
    rms: float
    """Of the last stage that was given, as it is."""
    largest: float
    noise: float
    """Its own noise, in the unit of `off`: 1, or more where it is the more sensitive one."""
    broken: int
    """How many numbers are NaN or infinite on one side only."""
    worst_row: float
    """The largest rms of a row, in the unit of `off`."""

    @property
    def ratio(self) -> float:
        """How many times the noise it is off; infinite where NaN stands in other places."""
        return float("inf") if self.broken else rms(self.off) / self.noise

    @property
    def holds(self) -> bool:
        """Whether rounding explains what is left."""
        return self.ratio <= LIMIT and self.worst_row <= ROW_LIMIT * self.noise


class Judge:
    """What was found in some rows of a case, and how far off each computation is."""

    def __init__(self, case: Case, rows: Array, dtype: str) -> None:
        self.case, self.rows, self.dtype = case, rows, dtype
        self.given = {
            stage: np.asarray(case.given[stage][:, :, rows], np.float64)
            for stage in GIVEN
            if stage in case.given
        }

    @cached_property
    def wanted(self) -> Stages:
        """What the rows should have."""
        stages = compute(self.case.wanted.at(self.rows))
        stages.raw.setflags(write=False)  # other computations use it too
        return stages

    @cached_property
    def noise(self) -> Mapping[str, Array]:
        """Stage -> the rms of each row that rounding explains, [n_row]."""
        return self._noise(self.case.wanted, self.wanted)

    @cached_property
    def stage(self) -> Mapping[str, str]:
        """Which stage is meant by the name of each that was given."""
        return {
            name: self._nearest(name, self.wanted) if name in ANY else name for name in self.given
        }

    @cached_property
    def reference(self) -> Fit:
        """The computation that is wanted."""
        return self.fit(self.case.wanted, self.wanted)

    def fit(self, c: Computation, stages: Stages | None = None) -> Fit:
        """How far a computation is from what was found in the rows."""
        off, broken, worst, last = [], 0, 0.0, np.zeros(0)
        stages = stages or self.computed(c)
        for name, left, mismatched in self.differences(c, stages):
            n_broken, last = int(mismatched.sum()), left
            lost = int((~np.isfinite(self.given[name])).sum())
            broken += 0 if n_broken <= OVERFLOWS * lost else n_broken
            unit = self.noise[name]
            scaled = left / at_least_half(unit)[:, None]
            worst = max(worst, float(_by_row(scaled).max(initial=0)))
            off.append(scaled.ravel())
        together = np.concatenate(off)
        own = self._noise_of(c, stages) if broken == 0 and self._may_hold(c, together) else 1.0
        return Fit(c, together, rms(last), float(np.abs(last).max(initial=0)), own, broken, worst)

    def _may_hold(self, c: Computation, off: Array) -> bool:
        """Whether its own noise, which takes time to compute, can decide."""
        size = rms(off)
        return c is not self.case.wanted and (
            size < SENSITIVE * LIMIT or size < CLOSER * rms(self.reference.off)
        )

    def off(self, c: Computation) -> float:
        """The rms in units of the noise, without a judgement."""
        each = [left / self.noise[name].max(initial=TINY) for name, left, _ in self.differences(c)]
        return rms(np.concatenate([x.ravel() for x in each]))

    def differences(
        self, c: Computation, stages: Stages | None = None
    ) -> Iterator[tuple[str, Array, Bool]]:
        """Of each stage that was given: ours less theirs, [n_batch, n_head, n_row, n_k or d_v],
        0 where that is no number; and where only one of the two is a number."""
        if stages is None:
            stages = self.wanted if c is self.case.wanted else self.computed(c)
        for name, given in self.given.items():
            ours = self._mean(name, stages, self.stage[name])
            if ours.shape != given.shape:  # of a mistake that takes one axis for another
                yield name, np.zeros(given.shape), np.ones(given.shape, bool)
                continue
            left, broken = _difference(ours, given)
            same_axes = stages.weights.shape[:3] == stages.context.shape[:3]
            is_wanted = c is self.case.wanted
            forgives = not is_wanted or self.case.finite
            if name in ("weights", "context") and same_axes and forgives:
                empty = _empty(stages)
                if empty.any() and empty.mean() < MOSTLY and (is_wanted or self._is_other(stages)):
                    left, broken = self._without_empty(c, name, stages, left, broken)
            yield name, left, broken

    def _is_other(self, stages: Stages) -> bool:
        """Whether a computation gives other numbers than the one that is wanted, beyond rounding,
        so that it explains something by itself."""
        for name in self.given:
            if name in ("weights", "context"):
                pair = [self._mean(name, each, name) for each in (stages, self.wanted)]
                if pair[0].shape != pair[1].shape:
                    return True
                left, broken = _difference(*pair)
                rows = _by_row(left / at_least_half(self.noise[name])[:, None])
                if broken.any() or rows.max(initial=0) > ROW_LIMIT:
                    return True
        return False

    def _noise_of(self, c: Computation, stages: Stages) -> float:
        """The noise of a computation in units of the reference's, at least 1."""
        if c.mixes_rows:
            return 1.0
        own = self._noise(c, stages)
        return max(1.0, *(_ratio(own[name], self.noise[name]) for name in self.given))

    def computed(self, c: Computation) -> Stages:
        """The stages of the rows; all rows are computed where they depend on one another, in
        float32 if they are many."""
        if not c.mixes_rows:
            raw = self.wanted.raw if _same_products(c, self.case.wanted) else None
            return compute(c.at(self.rows), raw=raw)
        if differ_in_the_end(c, self.case.wanted):
            return self.wanted._replace(context=c.finish(self._unfinished)[:, :, self.rows])
        stages = compute(light(c))
        n_q = self.case.wanted.n_q
        return Stages(*(x[:, :, self.rows] if x.shape[2] == n_q else x for x in stages))

    @cached_property
    def _unfinished(self) -> Array:
        """The context of all rows that is wanted, [n_batch, n_head, n_q, d_v], before `finish`."""
        return compute(light(replace(self.case.wanted, finish=as_it_is))).context

    def _noise(self, c: Computation, exact: Stages) -> Mapping[str, Array]:
        each = noise(c.at(self.rows), exact, self.dtype)._asdict()
        return {name: each[name] for name in self.given}

    def _nearest(self, name: str, stages: Stages) -> str:
        """Which stage is what the dump calls by a name that may mean several: the one with numbers
        at the same cells, or at most of them, and the nearest of these."""

        def apart(stage: str) -> tuple[int, float]:
            left, broken = _difference(self._mean(name, stages, stage), self.given[name])
            return int(broken.sum()), rms(left)

        return min(ANY[name], key=apart)

    def _mean(self, name: str, stages: Stages, stage: str) -> Array:
        x: Array = getattr(stages, stage)
        return x.mean(1, keepdims=True) if name in self.case.averaged else x

    def _without_empty(
        self, c: Computation, name: str, stages: Stages, left: Array, broken: Bool
    ) -> tuple[Array, Bool]:
        """The same, with queries that see no key allowed to have what any of the usual softmaxes
        makes of them: zeros, NaN, or the weights that a finite number for -inf gives."""
        empty: Array = _empty(stages)
        if left.shape[1] == 1:
            empty = np.asarray(empty.all(1, keepdims=True))
        rows = np.broadcast_to(empty[..., None], left.shape)
        given = self.given[name]
        bare = np.where(np.isfinite(stages.capped), stages.capped, 0)
        best = left
        for weights in weights_where_empty(c.masking, bare, self.rows):
            context = weights if name == "weights" else self._context(c, weights)
            other = self._mean(name, stages._replace(**{name: context}), name)
            apart, _ = _difference(other, given)
            closer = (apart**2).sum(-1, keepdims=True) < (best**2).sum(-1, keepdims=True)
            best = np.where(rows & closer, apart, best)
        if c is self.case.wanted:
            return best, broken  # no finite number gives NaN
        lost = rows & np.isnan(given)
        return np.where(lost, 0, best), broken & ~lost

    def _context(self, c: Computation, weights: Array) -> Array:
        if c.mixes_rows:
            return self.given["context"]
        return c.finish(c.combine(weights, c.spread(c.v, c.n_head)))


def light(c: Computation) -> Computation:
    """In float32 where there are many scores."""
    return c.as_type(np.float32) if c.n_q * c.n_k > MANY else c


def differ_in_the_end(c: Computation, other: Computation) -> bool:
    """Whether two computations give the same context up to what happens to it at last."""
    return all(
        getattr(c, each.name) is getattr(other, each.name)
        for each in fields(c)
        if each.name not in ("finish", "mixes_rows")
    )


def _same_products(c: Computation, other: Computation) -> bool:
    """Whether two computations have the same q · k: they are the same arrays."""
    return all(getattr(c, x) is getattr(other, x) for x in ("q", "k", "spread", "similarity"))


def _empty(stages: Stages) -> Bool:
    """[n_batch, n_head, n_row]: the queries that see no key."""
    return np.asarray((stages.weights == 0).all(-1))


def _by_row(x: Array) -> Array:
    """The rms of each row: x [n_batch, n_head, n_row, …] -> [n_row]."""
    with np.errstate(over="ignore"):
        return np.asarray(np.sqrt(np.mean(x**2, (0, 1, 3))))


def _difference(ours: Array, given: Array) -> tuple[Array, Bool]:
    """ours - given where both are finite, else 0; and where only one of them is."""
    ours = np.where((given <= HIDDEN) & np.isneginf(ours), given, ours)
    finite = np.isfinite(ours), np.isfinite(given)
    with np.errstate(invalid="ignore"):
        left = np.where(finite[0] & finite[1], ours - given, 0)
    same = (finite[0] & finite[1]) | (ours == given) | (np.isnan(ours) & np.isnan(given))
    return left, ~same


def at_least_half(noise: Array) -> Array:
    """The noise of each row, [n_row], but no less than half of the largest: that of one row alone
    is an estimate from few numbers."""
    return np.asarray(np.maximum(noise, noise.max(initial=0) / 2 + TINY))


def _ratio(a: Array, b: Array) -> float:
    return rms(a) / max(rms(b), TINY)
