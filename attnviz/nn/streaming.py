"""Exact attention of which no matrix is ever whole in memory: tile after tile is computed, handed
to whoever reads it, and forgotten.

The same numbers as `attention.attention`, and held equal to it by a test. The rows of a tile are
whole, so its weights are final. Source of the idea, without the weights: Rabe and Staats 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, Self

import numpy as np

from attnviz.nn.heads import repeat_heads
from attnviz.nn.masks import Mask
from attnviz.nn.scores import Score, scaled
from attnviz.nn.softmax import hide, softmax_in_place
from attnviz.nn.tiled import EVERY_CELL, mix
from attnviz.nn.types import Array, Bool

TILE_CELLS = 1 << 19
"""Weights of a tile, about: they stay in a processor's cache."""


class Inputs(NamedTuple):
    """What an attention is about to compute, for those who will read its tiles."""

    n_head: int
    q_pos: Array
    """[n_q]"""
    k_pos: Array
    """[n_k]"""
    mask: Mask
    v: Array
    """[n_kv_head, n_k, d_v]"""

    @property
    def n_q(self) -> int:
        return len(self.q_pos)

    @property
    def n_k(self) -> int:
        return len(self.k_pos)


class Rows(NamedTuple):
    """Some queries, and the keys that they may see. The tiles of all heads over the same rows
    share one such object, so a reader may keep what it makes of it until the next one comes."""

    queries: slice
    """Of n_q."""
    keys: slice
    """Of n_k: no query of the tile sees a key outside."""
    visible: Bool | None
    """[n_row, n_key], [n_head, n_row, n_key] where heads have masks of their own; None: all."""


class Tile(NamedTuple):
    """The weights of one head over some rows."""

    head: int
    rows: Rows
    weights: Array
    """[n_row, n_key], as they come out of the softmax; memory that the next tile uses again."""


class TileReader(Protocol):
    """Reads tiles and keeps what it wants of them; `fork` gives one for each thread, which get
    different rows and are merged again at the end."""

    def fork(self) -> Self: ...

    def read(self, tile: Tile) -> None: ...

    def merge(self, other: Self) -> None: ...


class ReadNothing:
    """Of attention that only has to feed the next layer."""

    def fork(self) -> ReadNothing:
        return self

    def read(self, tile: Tile) -> None:
        pass

    def merge(self, other: ReadNothing) -> None:
        pass


def streamed_attention(
    q: Array,
    k: Array,
    v: Array,
    *,
    score: Score,
    mask: Mask,
    q_pos: Array,
    k_pos: Array,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Callable[[Array, Array], Array] | None = None,
    sinks: Array | None = None,
    reader: TileReader | None = None,
) -> Array:
    """The context [n_head, n_q, d_v] of `attention`; every tile of weights goes to `reader`.

    q [n_head, n_q, d_k], k [n_kv_head, n_k, d_k], v [n_kv_head, n_k, d_v]; sinks [n_head]; the mask
    and the bias are functions of positions q_pos [n_q] and k_pos [n_k].
    """
    reader = reader or ReadNothing()
    n_head, n_q, n_k = q.shape[0], q.shape[1], k.shape[1]
    k, v = repeat_heads(k, n_head), repeat_heads(v, n_head)
    score = scaled(score, scale)
    context = np.empty((n_head, n_q, v.shape[-1]), np.result_type(q, k, v))
    own = reader.fork()
    step = max(1, TILE_CELLS // n_k)
    for start in range(0, n_q, step):
        queries = slice(start, min(start + step, n_q))
        visible = mask.visible(q_pos[queries], k_pos)
        rows = Rows(queries, slice(0, n_k), visible)
        added = None if bias is None else bias(q_pos[queries], k_pos)
        for head in range(n_head):
            seen = visible
            if visible is not None and visible.ndim > 2:
                seen = visible[head % len(visible)]
            x = np.array(score(q[head, queries], k[head]))
            if softcap:
                x = softcap * np.tanh(x / softcap)
            if added is not None:
                x += added[head % len(added)] if added.ndim > 2 else added
            softmax_in_place(
                hide(x, seen)[None],
                None if sinks is None else np.asarray(sinks)[head : head + 1],
                visible=EVERY_CELL if seen is None else seen,
            )
            mix(x, v[head], seen, out=context[head, queries])
            own.read(Tile(head, rows, x))
    reader.merge(own)
    return context
