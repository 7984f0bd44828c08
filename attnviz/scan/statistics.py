"""Statistics over many texts in constant memory: what is kept, and how two of them become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array

N_BIN = 200
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


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


SHARES = Bins(0.0, 1.0)


def bins_of(metric: str, longest: int) -> Bins:
    """The bins of a metric on texts of up to `longest` tokens."""
    longest = max(longest, 2)
    most = math.log(longest)
    return {
        "entropy": Bins(0.0, most),
        "verticality": Bins(-most, 0.0),
        "effective_tokens": Bins(1.0, longest, geometric=True),
        "mean_distance": Bins(0.01, longest, geometric=True),
        "value_norm": Bins(1e-4, 1e4, geometric=True),
    }.get(metric, SHARES)


class Statistics(NamedTuple):
    """Of every metric and head over some texts; [n_metric, n_row], a row for each head."""

    texts: Array
    """In how many texts the metric is defined; the others do not enter."""
    mean: Array
    squares: Array
    """Σ (x - mean)²"""
    least: Array
    most: Array
    null: Array
    """The mean of the null."""
    rows: Array
    """Of how many queries together."""
    histogram: Array
    """How many texts lie in each bin, [n_metric, n_row, n_bin]."""

    @property
    def deviation(self) -> Array:
        """√(Σ (x - mean)² / (texts - 1)), NaN of fewer than two texts."""
        return np.sqrt(self.squares / np.where(self.texts > 1, self.texts - 1, np.nan))


def nothing(n_metric: int, n_row: int) -> Statistics:
    """Of no texts."""
    shape = (n_metric, n_row)
    return Statistics(
        texts=np.zeros(shape, np.int64),
        mean=np.zeros(shape),
        squares=np.zeros(shape),
        least=np.full(shape, np.inf),
        most=np.full(shape, -np.inf),
        null=np.zeros(shape),
        rows=np.zeros(shape, np.int64),
        histogram=np.zeros((*shape, N_BIN), np.int64),
    )


def measured(values: Array, nulls: Array, rows: Array, bins: Sequence[Bins]) -> Statistics:
    """Of texts measured one by one: values, nulls and rows [n_text, n_metric, n_row].

    NaN is where a metric is not defined.
    """
    known = ~np.isnan(values)
    count = known.sum(0)
    divisor = np.maximum(count, 1)
    mean = np.where(known, values, 0).sum(0) / divisor
    return Statistics(
        texts=count,
        mean=mean,
        squares=(np.where(known, values - mean, 0) ** 2).sum(0),
        least=np.where(known, values, np.inf).min(0, initial=np.inf),
        most=np.where(known, values, -np.inf).max(0, initial=-np.inf),
        null=np.where(known, nulls, 0).sum(0) / divisor,
        rows=np.where(known, rows, 0).sum(0),
        histogram=np.stack([_counted(values[:, i], of) for i, of in enumerate(bins)]),
    )


def merge(a: Statistics, b: Statistics) -> Statistics:
    """Of the texts of both. Merging in one fixed order gives the same bits every time.

    Source: Chan, Golub and LeVeque 1983, equation 2.1: sums of squares about the means, which
    lose nothing where the deviation is small beside the mean.
    """
    count = a.texts + b.texts
    share = b.texts / np.maximum(count, 1)
    apart = b.mean - a.mean
    return Statistics(
        texts=count,
        mean=a.mean + apart * share,
        squares=a.squares + b.squares + apart * apart * share * a.texts,
        least=np.minimum(a.least, b.least),
        most=np.maximum(a.most, b.most),
        null=a.null + (b.null - a.null) * share,
        rows=a.rows + b.rows,
        histogram=a.histogram + b.histogram,
    )


def quantiles(statistics: Statistics, bins: Sequence[Bins], levels: Sequence[float]) -> Array:
    """[n_metric, n_row, n_level], exact to the width of a bin; NaN where nothing is defined.

    Within a bin the texts are taken to lie evenly; no quantile is beyond the least or the most.
    """
    below = np.cumsum(statistics.histogram, -1)
    edges = np.stack([of.edges for of in bins])
    found = []
    for level in levels:
        rank = level * statistics.texts
        bin = np.minimum((below < rank[..., None]).sum(-1), N_BIN - 1)[..., None]
        inside = np.take_along_axis(statistics.histogram, bin, -1)[..., 0]
        before = np.take_along_axis(below, bin, -1)[..., 0] - inside
        low, high = (np.take_along_axis(edges, bin[..., 0] + i, -1) for i in (0, 1))
        value = low + (high - low) * np.clip((rank - before) / np.maximum(inside, 1), 0, 1)
        value = np.clip(value, statistics.least, statistics.most)
        found.append(np.where(statistics.texts > 0, value, np.nan))
    return np.stack(found, -1)


def _counted(values: Array, bins: Bins) -> Array:
    """[n_text, n_row] -> [n_row, n_bin]"""
    n_row = values.shape[1]
    known = ~np.isnan(values)
    place = np.searchsorted(bins.edges[1:-1], values[known], side="right")
    row = np.broadcast_to(np.arange(n_row), values.shape)[known]
    return np.bincount(row * N_BIN + place, minlength=n_row * N_BIN).reshape(n_row, N_BIN)
