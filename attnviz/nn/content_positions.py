"""Terms of the score that take a query or a key, and how far they are from each other.

    q · k  +  q · P[i - j]  +  k · R[i - j],   all times the scale:

content·content, content→position and position→content. P and R have a row for each distance, or
for several that share one; no array [n_q, n_k, d] is ever made.
Source: Shaw et al. 2018, equation 5, for P; He et al. 2021 (DeBERTa), section 3.1, for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.heads import split_heads
from attnviz.nn.linear import Projection
from attnviz.nn.norms import Norm
from attnviz.nn.stages import TERMS
from attnviz.nn.types import Array


class PositionTable(NamedTuple):
    """Some neighbouring rows -> [n_head or 1, n_row, d_k]: what queries or keys are multiplied
    with."""

    vectors: Array
    """[n_row, d]: [n_row, d_k] if there is no map."""
    n_head: int = 1
    norm: Norm | None = None
    linear: Projection | None = None
    """[n_head·d_k, d]"""

    def __call__(self, rows: slice) -> Array:
        x = self.vectors[rows]
        x = x if self.norm is None else self.norm(x)
        return split_heads(x if self.linear is None else self.linear(x), self.n_head)


class Place(Protocol):
    """distances q_pos - k_pos [n] -> rows of the tables [n]."""

    def __call__(self, distances: Array, /) -> Array: ...


class EachDistance(NamedTuple):
    """distances q_pos - k_pos [n] -> rows [n] of a table that has one for each of them. A distance
    that it lacks is an error, not a wrap."""

    n_position: int
    """The length of a text whose distances all have a row."""

    def __call__(self, distances: Array) -> Array:
        farthest = int(np.abs(distances).max(initial=0))
        if farthest >= self.n_position:
            raise AttnvizError(
                f"a distance of {farthest} tokens, but there are learned ones up to "
                f"{self.n_position - 1} only",
                "give a shorter text",
            )
        return np.asarray(distances + self.n_position - 1)


class ContentPositions(NamedTuple):
    """The two terms of an attention; a table that is None has none."""

    place: Place
    keys: PositionTable | None
    """P: of content→position."""
    queries: PositionTable | None
    """R: of position→content."""
    scale: float
    silent: tuple[int, ...] = ()
    """Heads without these terms: what an ablation makes of them."""

    def of(self, q: Array, k: Array, q_pos: Array, k_pos: Array) -> Terms:
        """The terms of some queries and keys."""
        return Terms(self, q, k, q_pos, k_pos)


class Terms:
    """q [n_head, n_q, d_k], k [n_kv_head, n_k, d_k], their positions [n_q] and [n_k]."""

    def __init__(
        self, part: ContentPositions, q: Array, k: Array, q_pos: Array, k_pos: Array
    ) -> None:
        self._part, self._q, self._k, self._q_pos, self._k_pos = part, q, k, q_pos, k_pos
        named = zip(TERMS, (part.keys, part.queries), strict=True)
        self.names = tuple(name for name, table in named if table is not None)

    def whole(self, name: str) -> Array:
        """One of the terms, [n_head, n_q, n_k]."""
        n_q, n_k = self._q.shape[-2], self._k.shape[-2]
        term = np.empty((len(self._q), n_q, n_k), np.result_type(self._q, self._k))
        add = self._adder(name, slice(0, n_q), slice(0, n_k))
        for head, room in enumerate(term):
            room[...] = add(head)
        return term

    def total(self) -> Array:
        """The sum of the terms, [n_head, n_q, n_k]."""
        total = self.whole(self.names[0])
        for name in self.names[1:]:
            total += self.whole(name)
        return total

    def over(self, queries: slice, keys: slice) -> Callable[[int], Array]:
        """A function that gives the sum of the terms of a head over a tile, [n_row, n_key]."""
        adders = [self._adder(name, queries, keys) for name in self.names]

        def added(head: int) -> Array:
            total = adders[0](head)
            for add in adders[1:]:
                total += add(head)
            return total

        return added

    @cached_property
    def _rows(self) -> tuple[int, Array]:
        """The smallest distance, and the row of each distance from there on."""
        if not (len(self._q_pos) and len(self._k_pos)):
            return 0, np.zeros(0, np.int64)
        first = int(self._q_pos.min() - self._k_pos.max())
        last = int(self._q_pos.max() - self._k_pos.min())
        return first, self._part.place(np.arange(first, last + 1))

    @cached_property
    def _tables(self) -> Mapping[str, Array]:
        """By the term: [n_head or 1, n_row, d_k] of the rows from the smallest one used."""
        _, rows = self._rows
        used = slice(int(rows.min()), int(rows.max()) + 1) if len(rows) else slice(0, 0)
        tables = zip(TERMS, (self._part.keys, self._part.queries), strict=True)
        return {name: table(used) for name, table in tables if table is not None}

    def _adder(self, name: str, queries: slice, keys: slice) -> Callable[[int], Array]:
        """A function that gives a term of a head over a tile, [n_row, n_key]."""
        q, k, table = self._q[:, queries], self._k[:, keys], self._tables[name]
        first, rows = self._rows
        which = self._q_pos[queries][:, None] - self._k_pos[keys] - first
        which = rows[which] - (rows.min() if len(rows) else 0)
        low = int(which.min(initial=len(rows)))
        table, which = table[:, low : int(which.max(initial=-1)) + 1], which - low
        scale = np.result_type(q, k).type(self._part.scale)
        # where each cell's number stands among the products, which lie row after row
        if name == TERMS[0]:  # [n_row, n_table]
            places = which + np.arange(q.shape[1])[:, None] * table.shape[1]
        else:  # [n_table, n_key]
            places = which * k.shape[1] + np.arange(k.shape[1])

        def term(head: int) -> Array:
            if head in self._part.silent:
                return np.zeros(which.shape, scale.dtype)
            positions = table[head % len(table)]
            if name == TERMS[0]:
                products = (q[head] * scale) @ positions.T
            else:
                products = positions @ (k[head * len(k) // len(q)] * scale).T
            # "clip" only spares a check: every place is there
            return np.asarray(products.ravel().take(places, mode="clip"))

        return term
