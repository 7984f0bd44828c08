"""Statistics over many texts in constant memory: what is kept, and how two of them become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.metrics.registry import N_BIN, Bins
from attnviz.nn.types import Array, brief

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

MIN_BINS = 64
"""That the range of the data is divided into, at least, where bins follow them."""

MIN_EXPONENT = -1000
"""Of the width of a bin that follows the data; far from where float64 loses digits."""


class Statistics(NamedTuple):
    """Of every metric and head over some texts; [n_metric, n_row], a row for each head."""

    texts: Array
    """In how many texts the metric is defined; the others do not enter."""
    mean: Array
    squares: Array
    """Σ (x - mean)²"""
    minimum: Array
    maximum: Array
    null: Array
    """The mean of the null."""
    rows: Array
    """Of how many queries together."""
    histogram: Array
    """How many texts lie in each bin, [n_metric, n_row, n_bin]."""
    follows: Array
    """[n_metric]: whether the bins of a metric follow the data, as its `Grid` says."""

    def __repr__(self) -> str:
        return brief(self)

    @property
    def deviation(self) -> Array:
        """√(Σ (x - mean)² / (texts - 1)), NaN of fewer than two texts."""
        return np.sqrt(self.squares / np.where(self.texts > 1, self.texts - 1, np.nan))


class Grid(NamedTuple):
    """Bins of the width 2^exponent, [n_row] each. They depend on the smallest and the largest value
    alone, and those of more data are made of whole bins of less: however a corpus is cut, the
    counts are the same."""

    exponent: Array
    first: Array
    """The number of the first bin; bin number m goes from m 2^exponent to (m + 1) 2^exponent."""

    def __repr__(self) -> str:
        return brief(self)

    @property
    def edges(self) -> Array:
        """[n_row, n_bin + 1]"""
        edges: Array = np.ldexp(
            self.first[:, None] + np.arange(N_BIN + 1.0), self.exponent[:, None]
        )
        return edges


def grid_of(minimum: Array, maximum: Array) -> Grid:
    """The finest grid whose `N_BIN` bins hold both, [n_row] -> [n_row]; their range has at least
    `MIN_BINS` bins. Where minimum > maximum there are no data, and any grid will do."""
    empty = minimum > maximum
    low, high = np.where(empty, 0, minimum), np.where(empty, 0, maximum)
    largest = np.maximum(np.abs(low), np.abs(high))
    exact = np.where(largest > 0, np.frexp(largest)[1] - 52, MIN_EXPONENT)
    half = high / 2 - low / 2  # high - low may be infinite
    fitting = np.where(half > 0, np.frexp(half)[1] - 7, MIN_EXPONENT)
    exponent = np.maximum(np.maximum(exact, fitting), MIN_EXPONENT).astype(np.int64)
    exponent += _number(high, exponent) - _number(low, exponent) >= N_BIN
    return Grid(exponent, _number(low, exponent))


def nothing(bins: Sequence[Bins | None], n_row: int) -> Statistics:
    """Of no texts; `bins` of every metric, None where they follow the data."""
    shape = (len(bins), n_row)
    return Statistics(
        texts=np.zeros(shape, np.int64),
        mean=np.zeros(shape),
        squares=np.zeros(shape),
        minimum=np.full(shape, np.inf),
        maximum=np.full(shape, -np.inf),
        null=np.zeros(shape),
        rows=np.zeros(shape, np.int64),
        histogram=np.zeros((*shape, N_BIN), np.int64),
        follows=_follows(bins),
    )


def measured(
    values: Array, nulls: Array, rows: Array, bins: Sequence[Bins | None]
) -> Statistics:  # fmt: skip
    """Of texts measured one by one: values, nulls and rows [n_text, n_metric, n_row].

    NaN is where a metric is not defined.
    """
    known = ~np.isnan(values)
    count = known.sum(0)
    divisor = np.maximum(count, 1)
    mean = np.where(known, values, 0).sum(0) / divisor
    minimum = np.where(known, values, np.inf).min(0, initial=np.inf)
    maximum = np.where(known, values, -np.inf).max(0, initial=-np.inf)
    histogram = [
        _counted(values[:, i], of or grid_of(minimum[i], maximum[i])) for i, of in enumerate(bins)
    ]
    return Statistics(
        texts=count,
        mean=mean,
        squares=(np.where(known, values - mean, 0) ** 2).sum(0),
        minimum=minimum,
        maximum=maximum,
        null=np.where(known, nulls, 0).sum(0) / divisor,
        rows=np.where(known, rows, 0).sum(0),
        histogram=np.stack(histogram),
        follows=_follows(bins),
    )


def merge(a: Statistics, b: Statistics) -> Statistics:
    """Of the texts of both. Merging in one fixed order gives the same bits every time.

    Source: Chan, Golub and LeVeque 1983, equation 2.1: sums of squares about the means, which
    lose nothing where the deviation is small beside the mean.
    """
    count = a.texts + b.texts
    share = b.texts / np.maximum(count, 1)
    apart = b.mean - a.mean
    minimum, maximum = np.minimum(a.minimum, b.minimum), np.maximum(a.maximum, b.maximum)
    histogram = a.histogram + b.histogram
    for i in np.flatnonzero(a.follows).tolist():
        grid = grid_of(minimum[i], maximum[i])
        histogram[i] = _coarsened(a, i, grid) + _coarsened(b, i, grid)
    return Statistics(
        texts=count,
        mean=a.mean + apart * share,
        squares=a.squares + b.squares + apart * apart * share * a.texts,
        minimum=minimum,
        maximum=maximum,
        null=a.null + (b.null - a.null) * share,
        rows=a.rows + b.rows,
        histogram=histogram,
        follows=a.follows,
    )


def quantiles(
    statistics: Statistics, bins: Sequence[Bins | None], levels: Sequence[float]
) -> Array:
    """[n_metric, n_row, n_level], exact to the width of a bin; NaN where nothing is defined.

    Within a bin the texts are taken to lie evenly; no quantile is beyond the minimum or maximum.
    """
    below = np.cumsum(statistics.histogram, -1)
    shape = (*statistics.texts.shape, N_BIN + 1)
    edges = np.empty(shape)
    for i, of in enumerate(bins):
        grid = grid_of(statistics.minimum[i], statistics.maximum[i])
        edges[i] = grid.edges if of is None else of.edges
    by_level = []
    for level in levels:
        rank = level * statistics.texts
        bin = np.minimum((below < rank[..., None]).sum(-1), N_BIN - 1)[..., None]
        inside = np.take_along_axis(statistics.histogram, bin, -1)[..., 0]
        before = np.take_along_axis(below, bin, -1)[..., 0] - inside
        low, high = (np.take_along_axis(edges, bin + i, -1)[..., 0] for i in (0, 1))
        value = low + (high - low) * np.clip((rank - before) / np.maximum(inside, 1), 0, 1)
        value = np.clip(value, statistics.minimum, statistics.maximum)
        by_level.append(np.where(statistics.texts > 0, value, np.nan))
    return np.stack(by_level, -1)


def _counted(values: Array, bins: Bins | Grid) -> Array:
    """[n_text, n_row] -> [n_row, n_bin]; NaN is not counted."""
    n_row = values.shape[1]
    known = ~np.isnan(values)
    row = np.broadcast_to(np.arange(n_row), values.shape)[known]
    if isinstance(bins, Grid):
        bin = _number(values[known], bins.exponent[row]) - bins.first[row]
    else:
        bin = np.searchsorted(bins.edges[1:-1], values[known], side="right")
    count: Array = np.bincount(row * N_BIN + bin, minlength=n_row * N_BIN)
    return count.reshape(n_row, N_BIN)


def _coarsened(statistics: Statistics, metric: int, grid: Grid) -> Array:
    """The histogram of a metric, [n_row, n_bin], in the bins of a grid that holds more."""
    own = grid_of(statistics.minimum[metric], statistics.maximum[metric])
    row, bin = np.nonzero(statistics.histogram[metric])
    merged = (grid.exponent - own.exponent)[row]
    number = (own.first[row] + bin) >> np.minimum(merged, 62)
    coarse: Array = np.zeros_like(statistics.histogram[metric])
    np.add.at(coarse, (row, number - grid.first[row]), statistics.histogram[metric, row, bin])
    return coarse


def _number(values: Array, exponent: Array) -> Array:
    """⌊value / 2^exponent⌋; what is negative stays so, however small it is."""
    number = np.floor(np.ldexp(values, -exponent))
    signed: Array = np.where(values < 0, np.minimum(number, -1), number).astype(np.int64)
    return signed


def _follows(bins: Sequence[Bins | None]) -> Array:
    return np.array([of is None for of in bins])
