"""The registry of metrics, and what each metric knows of itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from attnviz.analysis.metrics.pattern import Measure, MetricContext, Pattern
from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.registry import Entry, Registry

N_BIN = 200

SHARE = (0.0, 1.0)
"""The range of a share of 1."""

ROUNDING = 1e-3
"""How far outside its range a metric may lie, beside the range's ends."""


class Bins(NamedTuple):
    """Where the `N_BIN` bins of a histogram lie; what is outside counts in the first or last."""

    low: float
    high: float
    geometric: bool = False
    """Whether each bin is wider than the one before by the same factor, not equally wide."""

    @property
    def edges(self) -> Array:
        """[n_bin + 1]"""
        space = np.geomspace if self.geometric else np.linspace
        return np.asarray(space(self.low, self.high, N_BIN + 1))


@dataclass(frozen=True, eq=False, repr=False)
class MetricEntry(Entry):
    """A function of a pattern, `(Pattern) -> Measure`: a mean over queries, so that blocks of rows
    can be measured one after another. Its null is the same of `pattern.null`.

    A bare `@METRICS.add` is enough: all that is not named here is taken from the data.
    """

    of: Callable[[Pattern], Measure] | None = None
    """What is measured of each block of rows instead, where the metric is a function of its mean
    over all queries, `(Array) -> Array`: value [..., n_head, …] -> [..., n_head]."""

    unit: str = ""
    """`nats`, `tokens`, …; empty for a number without one."""
    range: tuple[float, float] | None = None
    """Its smallest and its largest value, infinite where there is no bound; None if unknown."""
    bins: Callable[[int], Bins] | None = None
    """The bins of a histogram over texts of up to so many tokens. By default they divide a finite
    range evenly; otherwise they follow the data."""
    heading: str = ""
    """What stands above its column, to be said. Tables show the metrics that have one unasked."""
    priority: int = 0
    """The order of those columns, lowest first."""
    positions: Mapping[str, Callable[[Array, MetricContext], Array | None]] = field(
        default_factory=dict
    )
    """Positions or offsets, [..., n_head], that say where the value comes from, by name: functions
    of the mean over all queries."""
    null_by_head: bool = False
    """Whether the null depends on the head, and not on the mask alone."""

    @property
    def mean(self) -> Callable[[Pattern], Measure]:
        """What is averaged over queries."""
        return self.of or self.function

    def finish(self, mean: Measure) -> Array:
        """The metric [..., n_head] from what was averaged over all queries."""
        with np.errstate(invalid="ignore", divide="ignore"):  # where there are no rows
            value = mean.value if self.of is None else self.function(mean.value)
        rows = mean.rows.reshape(*mean.rows.shape, *[1] * (np.ndim(value) - mean.rows.ndim))
        return np.where(rows, value, np.nan)

    def __call__(self, pattern: Pattern) -> Measure:
        """The metric of a whole pattern; NaN of a head whose weights are not all finite."""
        mean = self.mean(pattern)
        return Measure(np.where(pattern.are_finite, self.finish(mean), np.nan), mean.rows)

    @property
    def title(self) -> str:
        """What stands above its column, in the reader's language."""
        return say(self.heading) if self.heading else self.name

    def histogram_bins(self, max_length: int) -> Bins | None:
        """The bins for texts of up to `max_length` tokens; None where they follow the data."""
        if self.bins is not None:
            return self.bins(max(max_length, 2))
        if self.range is not None and all(map(math.isfinite, self.range)):
            return Bins(*self.range)
        return None

    def outside(self, values: Array) -> Array:
        """Those of `values`, of any shape, that cannot be: beyond the range by more than rounding,
        or not finite where the bins follow the data; [n_outside]. NaN, undefined, is none."""
        known = values[~np.isnan(values)]
        if self.range is None:
            return np.asarray(known[~np.isfinite(known)])
        low, high = self.range
        low, high = low - ROUNDING * max(1, abs(low)), high + ROUNDING * max(1, abs(high))
        return np.asarray(known[(known < low) | (known > high)])


METRICS: Registry[MetricEntry] = Registry("metric", MetricEntry)
