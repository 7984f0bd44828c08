"""What is noticed of the rows of heads while they are measured: whether they are distributions."""

from __future__ import annotations

from typing import Self

import numpy as np

from attnviz.analysis.distributions import ROUNDING
from attnviz.analysis.metrics.pattern import MetricContext, Pattern
from attnviz.nn.types import Array, Bool

LISTED = 8
"""Rows that are named."""


class FirstRows:
    """Some rows of each head: how many, and the first of them."""

    def __init__(self, n_head: int) -> None:
        self.count = np.zeros(n_head, np.int64)
        self.rows = np.full((n_head, LISTED), -1, np.int64)
        """[n_head, LISTED]; -1 beyond the last."""

    def add(self, which: Bool, heads: slice, start: int) -> None:
        """Those of a block of rows, [n_head or 1, n_q], that begins at row `start`."""
        if not which.any():
            return
        for head in range(len(self.count))[heads]:
            own = which[(head - (heads.start or 0)) % len(which)]
            self._append(head, start + np.flatnonzero(own))

    def merge(self, other: Self) -> None:
        """Those of rows that come after."""
        for head in np.flatnonzero(other.count):
            known = other.rows[head][other.rows[head] >= 0]
            self._append(int(head), known)
            self.count[head] += other.count[head] - len(known)

    def _append(self, head: int, rows: Array) -> None:
        n = min(int(self.count[head]), LISTED)
        more = rows[: LISTED - n]
        self.rows[head, n : n + len(more)] = more
        self.count[head] += len(rows)


class RowSums:
    """How far the rows of heads are from distributions over the keys that they see."""

    def __init__(self, n_head: int, partial: bool) -> None:
        self._partial = partial
        self.good = np.ones(n_head, bool)
        """[n_head]: as `distributions.are_distributions`, and no weight against the mask."""
        self.off_one = np.zeros(n_head)
        """[n_head]: how far from 1 rows sum at most, but those that sum to 0."""
        self.broken, self.empty, self.zero = (FirstRows(n_head) for _ in range(3))
        """Rows that hold NaN or infinity, that see no key, that see keys and sum to 0."""

    def add(self, pattern: Pattern, heads: slice, softmax: bool) -> None:
        """A block of rows of some heads."""
        sums, start = pattern.totals, pattern.context.start[0]
        fits = (sums <= 1 + ROUNDING) & (self._partial | (sums >= 1 - ROUNDING) | (sums == 0))
        self.good[heads] &= fits.all(-1)
        if not softmax:
            self.good[heads] &= ~(pattern.breaks_mask | pattern.is_negative)
        far = np.where(sums == 0, 0, np.abs(sums - 1)).max(-1, initial=0)
        self.off_one[heads] = np.maximum(self.off_one[heads], far)
        self.broken.add(~np.isfinite(sums), heads, start)
        self.zero.add((sums == 0) & pattern.context.queries, heads, start)

    def add_context(self, context: MetricContext, heads: slice) -> None:
        """The mask of a block of rows."""
        self.empty.add(~context.queries, heads, context.start[0])

    def merge(self, other: Self) -> None:
        """Those of rows that come after."""
        self.good &= other.good
        np.maximum(self.off_one, other.off_one, out=self.off_one)
        self.broken.merge(other.broken)
        self.empty.merge(other.empty)
        self.zero.merge(other.zero)
