"""Metrics of heads whose rows come in blocks: what was averaged over the rows of each, added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np

from attnviz.analysis.metrics.pattern import Measure, MetricContext, Pattern
from attnviz.analysis.metrics.registry import MetricEntry
from attnviz.analysis.metrics.row_sums import RowSums
from attnviz.nn.types import Array, Bool

EVERY = slice(None)

Mean = Callable[[Pattern], Measure]


class Measured(NamedTuple):
    """Metrics by name, [n_head] each."""

    value: dict[str, Array]
    null: dict[str, Array]
    rows: dict[str, Array]
    positions: dict[str, Array]
    sums: RowSums
    """Of heads whose rows are no distributions over the keys nothing is said."""


class MetricSums:
    """Metrics of some heads, of which blocks of rows are added in any order."""

    def __init__(self, metrics: Iterable[MetricEntry], n_head: int, partial: bool = False) -> None:
        """partial: whether a sink outside the keys takes some of each row."""
        self.metrics = tuple(metrics)
        self._means = dict.fromkeys(metric.mean for metric in self.metrics)
        self._by_head = {metric.mean for metric in self.metrics if metric.null_by_head}
        self._n_head, self._partial = n_head, partial
        self._own, self._null = _Totals(n_head), _Totals(n_head)
        self._sums = RowSums(n_head, partial)
        self._least = self._common = 0

    def fork(self) -> Self:
        """One without any rows, to be merged with this one."""
        return type(self)(self.metrics, self._n_head, self._partial)

    def add(self, pattern: Pattern, heads: slice, softmax: bool = False) -> None:
        """A block of rows of some of the heads; weights that a softmax gave are known not to be
        negative, and to keep the mask."""
        null = pattern.null
        for mean in self._means:
            self._own.add(mean, mean(pattern), heads)
            if mean in self._by_head:
                self._null.add(mean, mean(null), heads)
        self._sums.add(pattern, heads, softmax)

    def add_null(self, context: MetricContext, heads: slice = EVERY) -> None:
        """The even spread over a block of rows; once, whatever the number of heads."""
        for mean in self._means:
            if mean not in self._by_head:
                self._null.add(mean, mean(context.even), heads)
        self._sums.add_context(context, heads)
        if any(metric.positions for metric in self.metrics):
            self._add_distances(context.copy_distances)

    def _add_distances(self, distances: Array) -> None:
        known = [each for each in (self._least, *distances[:1].tolist()) if each]
        self._least = min(known, default=0)
        self._common = int(np.gcd.reduce(distances, initial=self._common))

    def merge(self, other: Self) -> None:
        """Those of other rows."""
        self._own.merge(other._own)
        self._null.merge(other._null)
        self._sums.merge(other._sums)
        if other._least:
            self._add_distances(np.array([other._least, other._common]))

    def finish(self, context: MetricContext) -> Measured:
        """The metrics of all rows; `context` is the whole one."""
        measured = Measured({}, {}, {}, {}, self._sums)
        good = self._sums.good
        period = self._least if self._least == self._common else None
        context = replace(context, period=period or None)
        for metric in self.metrics:
            own, null = self._own.mean(metric.mean), self._null.mean(metric.mean)
            measured.value[metric.name] = _where(good, metric.finish(own))
            measured.null[metric.name] = _for_each(metric.finish(null), self._n_head)
            measured.rows[metric.name] = own.rows
            for name, position in metric.positions.items():
                where = position(own.value, context)
                measured.positions[name] = np.full(self._n_head, np.nan) if where is None else where
        return measured


def _where(good: Bool, values: Array) -> Array:
    """NaN for heads that are not good: [n_head], [n_head, …] -> [n_head, …]."""
    return np.where(good.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _for_each(values: Array, n_head: int) -> Array:
    """[n_head or 1, …] -> [n_head, …]"""
    return np.broadcast_to(values, (n_head, *values.shape[1:]))


class _Totals:
    """Sums over rows, and how many rows these are."""

    def __init__(self, n_head: int) -> None:
        self._n_head = n_head
        self._sums: dict[Mean, tuple[Array, Array]] = {}

    def add(self, mean: Mean, measure: Measure, heads: slice) -> None:
        value, rows = measure
        if mean not in self._sums:
            n = 1 if heads == EVERY and len(value) == 1 else self._n_head
            self._sums[mean] = np.zeros((n, *value.shape[1:])), np.zeros(n, np.int64)
        total, count = self._sums[mean]
        of_each = rows.reshape(-1, *[1] * (value.ndim - 1))
        total[heads] += np.where(of_each, value * of_each, 0)
        count[heads] += rows

    def merge(self, other: _Totals) -> None:
        for mean, (total, count) in other._sums.items():
            if mean in self._sums:
                own_total, own_count = self._sums[mean]
                own_total += total
                own_count += count
            else:
                self._sums[mean] = total, count

    def mean(self, mean: Mean) -> Measure:
        total, count = self._sums[mean]
        of_each = count.reshape(-1, *[1] * (total.ndim - 1))
        return Measure(total / np.maximum(of_each, 1), count)
