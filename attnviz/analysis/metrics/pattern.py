"""What the metrics of a head are computed from, and what several of them need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.analysis.distributions import entropy, spread_evenly
from attnviz.analysis.metrics.copies import NOBODY, CellList, Copies
from attnviz.analysis.metrics.seen import Seen, by_offset, seen
from attnviz.nn.types import Array, Bool, floating

FEW = 16
"""One key of so many, or fewer, are added one by one."""

BLOCK_CELLS = 1 << 19
"""Cells of a block of rows, about: weights that stay in a processor's cache."""


class Measure(NamedTuple):
    """A metric of every head."""

    value: Array
    """[..., n_head]; NaN where the metric is not defined."""
    rows: Array
    """[..., n_head or 1]: of how many queries it is the mean."""


class Part(NamedTuple):
    """Where a block of rows and keys lies."""

    whole: MetricContext
    rows: slice
    keys: slice


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
    spans: Mapping[str, Bool] = field(default_factory=dict)
    """By name, [..., n_k]: what the system, the user, the model itself says."""
    period: int | None = None
    """The distance of which those of all visible copies are multiples, once all rows have been
    read; None if there are others, or no copies."""
    partial: bool = False
    """Whether a sink outside the keys takes some of each row."""
    part: Part | None = None
    """Of a block of rows, where it lies: `first`, `visible` and what is known of the keys are then
    those of the block."""
    _among: dict[Target, Array | None] = field(default_factory=dict, init=False, repr=False)

    def block(
        self, rows: slice, keys: slice | None = None, visible: Bool | None = None
    ) -> MetricContext:
        """Some rows of it. `keys`: those that these rows may see; by default all.
        `visible`: the mask of the block, where it is not to be taken from this one."""
        keys = keys or slice(0, self.shape[1])
        return MetricContext(
            visible=self.visible[..., rows, keys] if visible is None else visible,
            first=None if self.first is None else self.first + rows.start - keys.start,
            special=None if self.special is None else self.special[..., keys],
            punctuation=None if self.punctuation is None else self.punctuation[..., keys],
            spans={name: each[..., keys] for name, each in self.spans.items()},
            partial=self.partial,
            part=Part(self, rows, keys),
        )

    def blocks(self) -> list[slice]:
        """Rows, as many at a time as are quickly measured."""
        n_q, n_k = self.shape
        step = max(1, BLOCK_CELLS // max(1, n_k))
        return [slice(start, min(start + step, n_q)) for start in range(0, max(n_q, 1), step)]

    @property
    def whole(self) -> MetricContext:
        return self if self.part is None else self.part.whole

    @property
    def shape(self) -> tuple[int, int]:
        """n_q and n_k, of all rows and keys."""
        n_q, n_k = self.whole.visible.shape[-2:]
        return n_q, n_k

    @property
    def start(self) -> tuple[int, int]:
        """The first of the rows and of the keys."""
        return (0, 0) if self.part is None else (self.part.rows.start, self.part.keys.start)

    @cached_property
    def cells(self) -> Bool:
        """The mask with an axis of heads, [..., n_head or 1, n_q, n_k]."""
        return self.visible if self.visible.ndim > 2 else self.visible[None]

    @cached_property
    def seen(self) -> Seen:
        return seen(self.visible)

    @cached_property
    def n_visible(self) -> Array:
        """How many keys each query sees, [..., n_head or 1, n_q]."""
        return self.seen.count

    @cached_property
    def queries(self) -> Bool:
        """The queries that see a key, [..., n_head or 1, n_q]."""
        return self.n_visible > 0

    @cached_property
    def choosing(self) -> Bool:
        """The queries that see two keys: the others have no choice; [..., n_head or 1, n_q]."""
        return self.n_visible > 1

    @cached_property
    def positions(self) -> Array | None:
        """The queries' positions among the keys, [n_q]; None where there is no such thing."""
        return None if self.first is None else self.first + np.arange(self.visible.shape[-2])

    @cached_property
    def ordinary(self) -> Bool | None:
        """[..., n_k]: the keys that the tokenizer did not add."""
        return None if self.special is None else ~self.special

    @cached_property
    def copies(self) -> CellList | None:
        """The earlier keys with the query's own token; tokens that the tokenizer added are
        nobody's copy."""
        return self._cells(0)

    @cached_property
    def followers(self) -> CellList | None:
        """The keys right behind earlier copies of the query's token, the query itself left out."""
        return self._cells(1)

    def _cells(self, behind: int) -> CellList | None:
        if self.whole._copies is None or self.whole.first is None:
            return None
        row, key = self.start
        n_row, n_key = self.visible.shape[-2:]
        cells = self.whole._copies.cells(self.whole.first + row, n_row, behind)
        if n_key == self.shape[1]:
            return cells
        inside = (cells.key >= key) & (cells.key < key + n_key)
        return cells._replace(row=cells.row[inside], key=cells.key[inside] - key)

    @cached_property
    def _copies(self) -> Copies | None:
        if self.ids is None or self.first is None:
            return None
        return Copies(
            self.ids if self.special is None else np.where(self.special, NOBODY, self.ids)
        )

    @cached_property
    def copy_distances(self) -> Array:
        """How far back visible copies lie, each distance once, rising: [n_distance]."""
        cells, positions = self.copies, self.positions
        if cells is None or positions is None or not len(cells.row):
            return np.zeros(0, np.int64)
        row = cells.row % len(positions)
        shown = self.seen.shown(cells)
        return np.flatnonzero(np.bincount((positions[row] - cells.key)[shown]))

    def among(self, target: Target) -> Array | None:
        """How many cells of a target each query sees, [..., n_head or 1, n_q]; None where there
        is no such target."""
        if target not in self._among:
            self._among[target] = target.among(self)
        return self._among[target]

    @cached_property
    def even(self) -> Pattern:
        """A head that spreads evenly over the visible keys: the null of every metric."""
        return Even(self)

    def forget(self) -> None:
        """Let go of the even spread, which holds this context in turn: else all that is known of
        a block, megabytes where a text repeats itself, stays until cycles are collected."""
        self.__dict__.pop("even", None)


class Target(Protocol):
    """Cells that a metric adds up."""

    def among(self, context: MetricContext) -> Array | None:
        """How many of them each query sees, [..., n_head or 1, n_q]; None: there are none such."""
        ...

    def given(self, context: MetricContext, weights: Array) -> Array:
        """Σ_j w_ij over them: [..., n_head, n_q, n_k] -> [..., n_head, n_q]."""
        ...


@dataclass(frozen=True, repr=False)
class Keys:
    """Some keys, whoever asks: `special`, `punctuation` or `ordinary` of a context."""

    name: str

    def among(self, context: MetricContext) -> Array | None:
        which = self._of(context)
        return None if which is None else context.seen.of_keys(which[..., None, :])

    def given(self, context: MetricContext, weights: Array) -> Array:
        which = self._of(context)
        assert which is not None
        if which.ndim == 1 and FEW * np.count_nonzero(which) <= len(which):
            return np.asarray(weights[..., which].sum(-1))
        return key_sums(weights, which[..., None, :])

    def _of(self, context: MetricContext) -> Bool | None:
        which: Bool | None = getattr(context, self.name)
        return which


@dataclass(frozen=True, repr=False)
class Span(Keys):
    """The keys of one of the spans of a context."""

    def _of(self, context: MetricContext) -> Bool | None:
        return context.spans.get(self.name)


@dataclass(frozen=True, repr=False)
class FirstKey:
    """The first key of all."""

    def among(self, context: MetricContext) -> Array | None:
        return context.seen.at(np.full(context.visible.shape[-2], -context.start[1]))

    def given(self, context: MetricContext, weights: Array) -> Array:
        return weights[..., 0] if context.start[1] == 0 else np.zeros(weights.shape[:-1])


@dataclass(frozen=True, repr=False)
class Offset:
    """The key at one offset from the query: -1 for the token before."""

    by: int

    def among(self, context: MetricContext) -> Array | None:
        positions = context.positions
        return None if positions is None else context.seen.at(positions + self.by)

    def given(self, context: MetricContext, weights: Array) -> Array:
        assert context.first is not None
        diagonal = weights.diagonal(context.first + self.by, -2, -1)
        start = max(0, -(context.first + self.by))
        given = np.zeros(weights.shape[:-1], weights.dtype)
        given[..., start : start + diagonal.shape[-1]] = diagonal
        return given


@dataclass(frozen=True, repr=False)
class Listed:
    """Cells that are listed: `copies` or `followers` of a context."""

    name: str

    def among(self, context: MetricContext) -> Array | None:
        cells: CellList | None = getattr(context, self.name)
        return None if cells is None else context.seen.listed(cells)

    def given(self, context: MetricContext, weights: Array) -> Array:
        cells: CellList = getattr(context, self.name)
        return cells.sums(weights)


SPECIAL, PUNCTUATION, ORDINARY = Keys("special"), Keys("punctuation"), Keys("ordinary")
FIRST = FirstKey()
COPIES, FOLLOWERS = Listed("copies"), Listed("followers")


class Pattern:
    """What some heads did in one context, or in a block of its rows."""

    def __init__(
        self,
        context: MetricContext,
        weights: Array,
        norms: Array | None = None,
    ) -> None:
        """weights: [..., n_head, n_q, n_k]; 0 where masked. norms: [..., n_head, n_k], the length
        of what a head moves of each key at weight 1."""
        self.context, self.weights, self.norms = context, weights, norms

    @cached_property
    def row_entropies(self) -> Array:
        """-Σ_j w_ij ln w_ij in nats, [..., n_head, n_q]."""
        return entropy(self.weights)

    @cached_property
    def entropies(self) -> Array:
        """The entropy of what the keys get, in nats, [..., n_head, n_q]: where a sink takes some
        of each row, of the rows divided by their sums."""
        if not self.context.partial:
            return self.row_entropies
        sums = self.totals
        safe = np.where(sums > 0, sums, 1)
        return np.where(sums > 0, np.maximum(self.row_entropies / safe + np.log(safe), 0), 0)

    @cached_property
    def _wide(self) -> Array:
        """The weights in single precision at least."""
        return floating(self.weights)

    @cached_property
    def totals(self) -> Array:
        """Σ_j w_ij, [..., n_head, n_q]."""
        return key_sums(self._wide, np.ones(1))

    @cached_property
    def distances(self) -> Array | None:
        """Σ_j w_ij |i - j|, [..., n_head, n_q]; None where there is no distance."""
        weights, positions = self._wide, self.context.positions
        if positions is None or not weights.size:
            return None if positions is None else self.totals
        keys = np.arange(weights.shape[-1])
        left = slice(0, int(np.clip(positions[0], 0, len(keys))))
        right = slice(int(np.clip(positions[-1] + 1, left.stop, len(keys))), len(keys))
        between = slice(left.stop, right.start)
        near = np.abs(positions[:, None] - keys[between]).astype(weights.dtype)
        total: Array = np.vecdot(weights[..., between], near).astype(np.float64)
        for part, end in ((left, positions[0]), (right, positions[-1])):
            if part.stop > part.start:
                total += key_sums(weights[..., part], np.abs(keys[part] - end))
                total += key_sums(weights[..., part], np.ones(1)) * np.abs(positions - end)
        return total

    @cached_property
    def row_norms(self) -> Array:
        """Σ_j w_ij ‖f(x_j)‖, [..., n_head, n_q]; the norms have to be known."""
        assert self.norms is not None
        return key_sums(self._wide, self.norms)

    @cached_property
    def largest(self) -> Array:
        """The largest weight of each query, [..., n_head, n_q]."""
        return self._largest[0]

    @cached_property
    def largest_ordinary(self) -> Array:
        """The largest on a token that the tokenizer did not add, [..., n_head, n_q]; at least 0."""
        return self._largest[1]

    @cached_property
    def _largest(self) -> tuple[Array, Array]:
        weights, special = self.weights, self.context.special
        if special is None:
            largest = weights.max(-1, initial=0)
            return largest, largest
        if special.ndim > 1 or FEW * np.count_nonzero(special) > len(special):
            ordinary = np.where(special[..., None, None, :], 0, weights).max(-1, initial=0)
            return weights.max(-1, initial=0), ordinary
        ordinary = np.zeros(weights.shape[:-1], weights.dtype)
        places = np.flatnonzero(special)
        for start, stop in zip([0, *places + 1], [*places, len(special)], strict=True):
            if stop > start:
                ordinary = np.maximum(ordinary, weights[..., start:stop].max(-1))
        return np.maximum(ordinary, weights[..., places].max(-1, initial=0)), ordinary

    @cached_property
    def columns(self) -> Array:
        """The mean row of each head, [..., n_head, n_k]."""
        context = self.context
        chosen = np.sum(context.queries, -1, keepdims=True)
        return self.placed(self.column_sums(context.queries) / np.maximum(chosen, 1), 1)

    def column_sums(self, rows: Bool) -> Array:
        """Σ_i w_ij over some rows [..., n_head or 1, n_q], [..., n_head, n_k] of the block."""
        weights = self._wide
        return np.asarray(np.matmul(rows[..., None, :].astype(weights.dtype), weights)[..., 0, :])

    @cached_property
    def offsets(self) -> Array:
        """How many queries that have a choice look most at each offset, [..., n_head, n_q + n_k -
        1], from the last query on the first key up; of k equal largest weights each counts 1/k."""
        cells = self.weights == self.largest[..., None]
        return self.placed(by_offset(cells, self.context.choosing, shared=True), None)

    def placed(self, values: Array, axis: int | None) -> Array:
        """Values of the keys of a block, or (None) of its offsets, among those of the whole."""
        n_q, n_k = self.context.shape
        row, key = self.context.start
        n, start = n_k, key
        if axis is None:
            n, start = n_q + n_k - 1, key - row + n_q - self.context.visible.shape[-2]
        if values.shape[-1] == n:
            return values
        whole = np.zeros((*values.shape[:-1], n), values.dtype)
        whole[..., start : start + values.shape[-1]] = values
        return whole

    @cached_property
    def are_finite(self) -> Bool:
        """[..., n_head]: whether all weights are."""
        return np.asarray(np.isfinite(self.totals).all(-1))

    @cached_property
    def is_negative(self) -> Bool:
        """[..., n_head]: whether any weight is."""
        return np.asarray(self.weights.min((-2, -1), initial=0) < 0)

    @cached_property
    def breaks_mask(self) -> Bool:
        """[..., n_head]: whether any masked cell has a weight."""
        if (self.context.n_visible == self.weights.shape[-1]).all():
            return np.zeros(self.weights.shape[:-2], bool)
        return np.asarray(((self.weights != 0) > self.context.cells).any((-2, -1)))

    @property
    def null(self) -> Pattern:
        """The even spread in the same context, over keys that are worth as much."""
        even = self.context.even
        return even if self.norms is None else Even(self.context, self.norms)

    def given(self, target: Target) -> Array:
        """Σ_j w_ij over the cells of a target, [..., n_head, n_q]."""
        return target.given(self.context, self._wide)

    def mass(self, target: Target | Bool, *, forced: bool = False) -> Measure:
        """What a query gives to the cells of a target together, mean over the queries that see
        one of them and have a choice; `forced` takes those that have none too. Cells [..., n_head
        or 1, n_q, n_k] may be named one by one."""
        if isinstance(target, np.ndarray):
            return self._mass_of_cells(target, forced)
        among = self.context.among(target)
        if among is None:
            return self.undefined()
        context = self.context
        rows = (among > 0) & (context.queries if forced else context.choosing)
        return self.over_rows(self.given(target), rows)

    def _mass_of_cells(self, cells: Bool, forced: bool) -> Measure:
        visible = cells & self.context.cells
        rows = visible.any(-1) & (self.context.queries if forced else self.context.choosing)
        return self.over_rows(np.where(visible, self.weights, 0).sum(-1, dtype=np.float64), rows)

    def over_rows(self, values: Array, rows: Bool | None = None) -> Measure:
        """The mean of `values` [..., n_head, n_q] over `rows` [..., n_head or 1, n_q], by default
        the queries that have a choice."""
        rows = self.context.choosing if rows is None else rows
        count = rows.sum(-1)
        total: Array = np.where(rows, values, 0).sum(-1, dtype=np.float64)
        return Measure(total / np.where(count, count, np.nan), count)

    def undefined(self, *axes: int) -> Measure:
        """Where a metric has no meaning; `axes` after n_head."""
        shape = self.weights.shape[:-2]
        return Measure(np.full((*shape, *axes), np.nan), np.zeros(shape, np.int64))


class Even(Pattern):
    """A head that spreads evenly over the keys that a query sees: all sums are counts."""

    def __init__(self, context: MetricContext, norms: Array | None = None) -> None:
        self.context, self.norms = context, norms

    @cached_property
    def _each(self) -> Array:
        """The weight of a visible key, [..., n_head or 1, n_q]."""
        return self.context.queries / np.maximum(self.context.n_visible, 1)

    @cached_property
    def weights(self) -> Array:  # type: ignore[override]
        return spread_evenly(self.context.cells)

    @cached_property
    def row_entropies(self) -> Array:
        return np.asarray(np.log(np.maximum(self.context.n_visible, 1)))

    @cached_property
    def entropies(self) -> Array:
        return self.row_entropies

    @cached_property
    def totals(self) -> Array:
        return self.context.queries.astype(np.float64)

    @cached_property
    def distances(self) -> Array | None:
        positions = self.context.positions
        return None if positions is None else self.context.seen.distances(positions)[0] * self._each

    @cached_property
    def row_norms(self) -> Array:
        assert self.norms is not None
        return self.context.seen.of_keys(self.norms) * self._each

    @cached_property
    def _largest(self) -> tuple[Array, Array]:
        return self._each, self._each

    def column_sums(self, rows: Bool) -> Array:
        return self.context.seen.columns(self._each * rows)

    @cached_property
    def offsets(self) -> Array:
        return self.placed(self.context.seen.offsets(self._each * self.context.choosing), None)

    def given(self, target: Target) -> Array:
        among = self.context.among(target)
        assert among is not None
        return np.asarray(among * self._each)

    def undefined(self, *axes: int) -> Measure:
        shape = self.context.n_visible.shape[:-1]
        return Measure(np.full((*shape, *axes), np.nan), np.zeros(shape, np.int64))


def key_sums(weights: Array, values: Array) -> Array:
    """Σ_j w_ij f_j: [..., n_head, n_q, n_k], [..., n_head or 1, n_k or 1] -> [..., n_head, n_q]."""
    n_key = weights.shape[-1]
    values = np.broadcast_to(values, (*values.shape[:-1], n_key)).astype(weights.dtype)
    if values.ndim == 1:
        return np.asarray(np.matmul(weights, values).astype(np.float64))
    return np.asarray(np.matmul(weights, values[..., None])[..., 0].astype(np.float64))
