"""What the metrics of a head are computed from, and what several of them need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from attnviz.analysis.distributions import entropy, spread_evenly
from attnviz.nn.types import Array, Bool

NOBODY = -1
"""The id of what is nobody's copy."""


class Measure(NamedTuple):
    """A metric of every head."""

    value: Array
    """[..., n_head]; NaN where the metric is not defined."""
    rows: Array
    """[..., n_head or 1]: of how many queries it is the mean."""


@dataclass(frozen=True, eq=False)
class MetricContext:
    """Where some heads work: the mask, and what is known of the tokens.

    The leading axes are those of the weights, [n_text] for example; what is the same for all of
    them needs none. A query that is not to be counted, padding say, sees no key.
    """

    visible: Bool
    """[n_q, n_k], [n_head, n_q, n_k] or [..., n_head or 1, n_q, n_k]."""
    first: int | None = 0
    """The position of the first query among the keys; None where queries and keys are not one
    sequence, as in cross-attention or among the patches of an image."""
    ids: Array | None = None
    """[..., n_k]: the keys' token ids; `NOBODY` for those that no other can be the same as."""
    special: Bool | None = None
    """[..., n_k]: which keys the tokenizer added."""
    punctuation: Bool | None = None
    """[..., n_k]: which keys are punctuation marks."""

    @cached_property
    def cells(self) -> Bool:
        """The mask with an axis of heads, [..., n_head or 1, n_q, n_k]."""
        return self.visible if self.visible.ndim > 2 else self.visible[None]

    @cached_property
    def n_visible(self) -> Array:
        """How many keys each query sees, [..., n_head or 1, n_q]."""
        count: Array = self.cells.sum(-1)
        return count

    @cached_property
    def queries(self) -> Bool:
        """The queries that see a key, [..., n_head or 1, n_q]."""
        return self.n_visible > 0

    @cached_property
    def choosing(self) -> Bool:
        """The queries that see two keys: the others have no choice; [..., n_head or 1, n_q]."""
        return self.n_visible > 1

    @cached_property
    def offset(self) -> Array | None:
        """The key's position less the query's, [n_q, n_k]; None where there is no such thing."""
        if self.first is None:
            return None
        n_q, n_k = self.visible.shape[-2:]
        offset: Array = np.arange(n_k) - (np.arange(n_q)[:, None] + self.first)
        return offset

    @cached_property
    def copies(self) -> Bool | None:
        """The earlier keys with the query's own token, [..., 1, n_q, n_k]; tokens that the
        tokenizer added are nobody's copy."""
        if self.ids is None or self.offset is None:
            return None
        n_q = self.visible.shape[-2]
        ids = self.ids if self.special is None else np.where(self.special, NOBODY, self.ids)
        own = ids[..., self.first : self.first + n_q, None]
        same: Bool = (ids[..., None, :] == own) & (own != NOBODY) & (self.offset < 0)
        return same[..., None, :, :]

    @cached_property
    def followers(self) -> Bool | None:
        """The keys right behind earlier copies of the query's token, the query itself left out;
        [..., 1, n_q, n_k]."""
        if self.copies is None or self.offset is None:
            return None
        behind = np.zeros_like(self.copies)
        behind[..., 1:] = self.copies[..., :-1]
        behind &= self.offset < 0
        return behind

    @cached_property
    def period(self) -> int | None:
        """The distance of which those of all visible copies are multiples; None if there are
        others, or no copies."""
        if self.copies is None or self.offset is None:
            return None
        distances = -np.broadcast_to(self.offset, self.copies.shape)[self.copies]
        if not distances.size or (distances % distances.min()).any():
            return None
        return int(distances.min())

    @cached_property
    def even(self) -> Pattern:
        """A head that spreads evenly over the visible keys: the null of every metric."""
        return Pattern(self, spread_evenly(self.cells))


@dataclass(frozen=True, eq=False)
class Pattern:
    """What some heads did in one context."""

    context: MetricContext
    weights: Array
    """[..., n_head, n_q, n_k]; 0 where masked."""
    norms: Array | None = None
    """[..., n_head, n_k]: the length of what a head moves of each key at weight 1."""

    @cached_property
    def wide(self) -> Array:
        """The weights in float64, so that sums lose nothing."""
        return np.asarray(self.weights, np.float64)

    @cached_property
    def entropies(self) -> Array:
        """-Σ_j w_ij ln w_ij in nats, [..., n_head, n_q]."""
        return entropy(self.weights)

    @cached_property
    def columns(self) -> Array:
        """The mean row of each head, [..., n_head, n_k]."""
        queries = self.context.queries
        rows = queries / np.maximum(queries.sum(-1, keepdims=True), 1)
        mean: Array = np.matmul(rows[..., None, :], self.wide)[..., 0, :]
        return mean

    @property
    def null(self) -> Pattern:
        """The even spread in the same context, over keys that are worth as much."""
        return replace(self.context.even, norms=self.norms) if self.norms is not None else (
            self.context.even
        )  # fmt: skip

    def mass(self, cells: Bool | None, *, forced: bool = False) -> Measure:
        """What a query gives to `cells` [..., n_head or 1, n_q, n_k] together, mean over the
        queries that see one of them and have a choice; `forced` takes those that have none too."""
        if cells is None:
            return self.undefined()
        visible = cells & self.context.cells
        rows = visible.any(-1) & (self.context.queries if forced else self.context.choosing)
        return self.mean_of(visible, rows)

    def mean_of(self, template: Array, rows: Bool) -> Measure:
        """Σ_j w_ij template_ij, mean over the `rows` [..., n_head or 1, n_q]."""
        count = rows.sum(-1)
        total = inner(self.wide, np.where(rows[..., None], template, 0))
        return Measure(total / np.where(count, count, np.nan), count)

    def over_rows(self, values: Array, rows: Bool | None = None) -> Measure:
        """The mean of `values` [..., n_head, n_q] over `rows` [..., n_head or 1, n_q], by default
        the queries that have a choice."""
        rows = self.context.choosing if rows is None else rows
        count = rows.sum(-1)
        total: Array = np.where(rows, values, 0).sum(-1, dtype=np.float64)
        return Measure(total / np.where(count, count, np.nan), count)

    def undefined(self) -> Measure:
        """Where a metric has no meaning."""
        shape = self.weights.shape[:-2]
        return Measure(np.full(shape, np.nan), np.zeros(shape, np.int64))


def inner(weights: Array, template: Array) -> Array:
    """Σ_ij w_ij t_ij: [..., n_head, n_q, n_k], [..., n_head or 1, n_q, n_k] -> [..., n_head]."""
    flat = weights.reshape(*weights.shape[:-2], -1)
    cells = template.reshape(*template.shape[:-2], -1).astype(np.float64, copy=False)
    if cells.shape[-2] == 1:
        product: Array = np.matmul(flat, cells.mT)[..., 0]
        return product
    summed: Array = np.einsum("...hc,...hc->...h", flat, cells)
    return summed
