"""What the mask lets queries see, counted: of an interval of keys by its ends, else cell by cell.

Keys are counted within the tile; a query's position is that on the axis of these keys. Results
have an axis of heads, of length 1 where all heads have one mask.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np

from attnviz.analysis.metrics.copies import CellList
from attnviz.nn.types import Array, Bool


class Seen(Protocol):
    """The visible cells of some queries and keys."""

    @property
    def count(self) -> Array:
        """How many keys each query sees, [..., n_head or 1, n_q]."""
        ...

    def of_keys(self, values: Array) -> Array:
        """Σ_j values_j over the visible keys: [..., n_head or 1, n_k] -> [..., n_head or 1, n_q]"""
        ...

    def at(self, keys: Array) -> Bool:
        """Whether each query sees the key that is named for it: [n_q] -> [..., n_head or 1, n_q];
        a key outside is not seen."""
        ...

    def listed(self, cells: CellList) -> Array:
        """How many of some cells each query sees, [..., n_head or 1, n_q]."""
        ...

    def shown(self, cells: CellList) -> Bool:
        """Which of some cells are visible to any head, [n_cell]."""
        ...

    def distances(self, positions: Array) -> tuple[Array, Array]:
        """The sum and the largest of |i - j| over the visible keys j of queries at positions i
        [n_q], [..., n_head or 1, n_q] each."""
        ...

    def columns(self, shares: Array) -> Array:
        """Σ_i shares_i over the queries that see each key: [..., n_head or 1, n_q] ->
        [..., n_head or 1, n_k]."""
        ...

    def offsets(self, shares: Array) -> Array:
        """Σ shares_i over the visible cells of each offset j - i, by row and column:
        [..., n_head or 1, n_q] -> [..., n_head or 1, n_q + n_k - 1]."""
        ...


def seen(visible: Bool) -> Seen:
    """Of a mask [..., n_q, n_k], True = visible."""
    if visible.ndim == 2 and visible.size:
        starts = visible.argmax(-1)
        stops = visible.shape[-1] - visible[:, ::-1].argmax(-1)
        stops = np.where(np.take_along_axis(visible, starts[:, None], 1)[:, 0], stops, starts)
        if np.count_nonzero(visible) == (stops - starts).sum():
            return Intervals(starts, stops, visible.shape[-1])
    return Cells(visible if visible.ndim > 2 else visible[None])


class Intervals:
    """Every query sees the keys from its start up to its stop: no mask, causal, window, band,
    documents, padding."""

    def __init__(self, starts: Array, stops: Array, n_key: int) -> None:
        """starts, stops: [n_q] of n_key keys; equal where a query sees none."""
        self.starts, self.stops, self.n_key = starts, stops, n_key
        self.count: Array = (stops - starts)[None]

    def of_keys(self, values: Array) -> Array:
        ends = [(0, 0)] * (values.ndim - 1) + [(1, 0)]
        sums = np.pad(np.cumsum(values, -1, dtype=np.float64), ends)
        total: Array = sums[..., self.stops] - sums[..., self.starts]
        return total

    def at(self, keys: Array) -> Bool:
        return np.asarray((self.starts <= keys) & (keys < self.stops))[None]

    def listed(self, cells: CellList) -> Array:
        return cells.add(self.shown(cells))

    def shown(self, cells: CellList) -> Bool:
        row = cells.row % len(self.starts)
        return np.asarray((self.starts[row] <= cells.key) & (cells.key < self.stops[row]))

    def distances(self, positions: Array) -> tuple[Array, Array]:
        first, last = positions - self.starts, self.stops - 1 - positions
        total = _up_to(first) - _up_to(positions - self.stops)
        total += _up_to(last) - _up_to(self.starts - 1 - positions)
        farthest = np.where(self.count[0], np.maximum(np.abs(first), np.abs(last)), 0)
        return total[None], farthest[None]

    def columns(self, shares: Array) -> Array:
        return self._added(self.starts, self.stops, shares, self.n_key)

    def offsets(self, shares: Array) -> Array:
        n_row = len(self.starts)
        shift = n_row - 1 - np.arange(n_row)
        return self._added(self.starts + shift, self.stops + shift, shares, n_row + self.n_key - 1)

    def _added(self, starts: Array, stops: Array, shares: Array, n: int) -> Array:
        """Every share added from a start up to a stop."""
        row = shares.reshape(-1)
        steps = np.bincount(starts, row, n + 1) - np.bincount(stops, row, n + 1)
        return np.cumsum(steps)[None, :n]


def _up_to(n: Array) -> Array:
    """1 + 2 + … + n, 0 of negative numbers."""
    n = np.maximum(n, 0)
    total: Array = n * (n + 1) // 2
    return total


class Cells:
    """Any mask."""

    def __init__(self, visible: Bool) -> None:
        """visible: [..., n_head or 1, n_q, n_k]"""
        self.visible = visible
        self.count: Array = np.count_nonzero(visible, -1)

    @cached_property
    def _numbers(self) -> Array:
        return self.visible.astype(np.float64)

    def of_keys(self, values: Array) -> Array:
        return np.asarray(np.matmul(self._numbers, values[..., None])[..., 0])

    def at(self, keys: Array) -> Bool:
        n_row, n_key = self.visible.shape[-2:]
        inside = (keys >= 0) & (keys < n_key)
        at = self.visible[..., np.arange(n_row), np.clip(keys, 0, n_key - 1)]
        return np.asarray(at & inside)

    def listed(self, cells: CellList) -> Array:
        return cells.sums(self.visible)

    def shown(self, cells: CellList) -> Bool:
        every = np.asarray(self.visible.any(tuple(range(self.visible.ndim - 2))))
        return np.asarray(every[cells.row % len(every), cells.key])

    def distances(self, positions: Array) -> tuple[Array, Array]:
        distance = np.abs(np.arange(self.visible.shape[-1]) - positions[:, None])
        total = np.vecdot(self._numbers, distance)
        return total, np.where(self.visible, distance, 0).max(-1, initial=0)

    def columns(self, shares: Array) -> Array:
        return np.asarray(np.matmul(shares[..., None, :], self._numbers)[..., 0, :])

    def offsets(self, shares: Array) -> Array:
        return by_offset(self.visible, np.where(self.count, shares, 0))


def by_offset(cells: Bool, shares: Array, shared: bool = False) -> Array:
    """Σ shares_i over the cells of each offset j - i, from the last query and the first key up:
    [..., n_q, n_k], [..., n_q] -> [..., n_q + n_k - 1]; if `shared`, the cells of a query divide
    its share."""
    *lead, n_row, n_key = cells.shape
    row, key = np.divmod(np.flatnonzero(cells), n_key)
    weights = np.broadcast_to(shares, cells.shape[:-1]).reshape(-1)[row]
    if shared:
        weights = weights / np.bincount(row)[row]
    matrix, query = np.divmod(row, n_row)
    n = n_row + n_key - 1
    n_matrix = int(np.prod(lead))
    summed = np.bincount(matrix * n + key - query + n_row - 1, weights, n_matrix * n)
    return summed.reshape(*lead, n)
