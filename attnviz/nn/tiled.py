"""Attention in tiles that stay in a processor's cache, its stages handed to whoever keeps them.

The same as `attention.attention`, and held equal to it by a test.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.heads import check_broadcast, repeat_heads
from attnviz.nn.scores import Score, entry_of, scaled
from attnviz.nn.softmax import hide, softmax_in_place
from attnviz.nn.stages import MATRICES, DiscardStages, StageKeeper
from attnviz.nn.threads import Team, in_team, parts_of
from attnviz.nn.types import Array, Bool

EVERY_CELL = np.array(True)
"""The mask where there is none."""

TILE_BYTES = 1 << 20
BLOCK_BYTES = 1 << 26
SKIPPING_ROWS = 64
"""Queries of a tile where keys that none of them sees are left out."""


def tiled_attention(
    q: Array,
    k: Array,
    v: Array,
    *,
    score: Score,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Array | None = None,
    visible: Bool | None = None,
    sinks: Array | None = None,
    keep: StageKeeper | None = None,
) -> Array:
    """The context [n_head, n_q, d_v] of `attention`, whose arguments these are.

    No matrix of all heads is ever whole in memory unless `keep` wants it.

    Raises:
        AttnvizError: a mask or a bias that does not broadcast to [n_head, n_q, n_k].
    """
    whole = Tiled(
        q,
        k,
        v,
        score=score,
        scale=scale,
        softcap=softcap,
        bias=bias,
        visible=visible,
        sinks=sinks,
        keep=keep or DiscardStages(),
    )
    n_q, n_k = whole.shape[-2:]
    n_part = parts_of(n_q, n_k * (q.size + whole.context.size))
    in_team(n_part, lambda number, team: whole.rows_in_team(team.part(number, n_q), team))
    whole.finish()
    return whole.context


class Tiled:
    """`tiled_attention`, rows by rows: several threads may each compute some."""

    def __init__(
        self,
        q: Array,
        k: Array,
        v: Array,
        *,
        score: Score,
        scale: float | None,
        softcap: float | None,
        bias: Array | None,
        visible: Bool | None,
        sinks: Array | None,
        keep: StageKeeper,
    ) -> None:
        for stage, array in (("q", q), ("k", k), ("v", v)):
            keep.keep(stage, array)
        n_head, n_q, n_k = q.shape[-3], q.shape[-2], k.shape[-2]
        self.shape = (*q.shape[:-1], n_k)
        visible = _without_barred(visible, bias, self.shape)
        if keep.wants("mask"):
            mask = np.ones((n_q, n_k), bool) if visible is None else visible
            keep.keep("mask", np.broadcast_to(mask, np.broadcast_shapes(mask.shape, (n_q, n_k))))
        if bias is not None:
            keep.keep("bias", bias)
        if visible is not None and visible.all():
            visible = None
        self.softcap, self.bias, self.visible, self.sinks = softcap, bias, visible, sinks
        entry = entry_of(score)
        # a function of somebody else's may have parameters for each head, so it gets all of them
        self.splits_heads = entry is not None
        self.takes_out = entry is not None and entry.takes("out")
        self.group = n_head // k.shape[-3]
        if not self.takes_out:
            k, self.group = repeat_heads(k, n_head), 1
        self.score, self.q, self.k, self.v = scaled(score, scale), q, k, v
        self.v_group = n_head // v.shape[-3]
        self.v_is_finite = bool(np.isfinite(v).all())
        self.dtype = np.result_type(q, k)
        self.keep = keep
        # keys that no query of a tile sees are left out, where nobody asks for their scores
        self.skips = visible is not None and visible.ndim == 2 and not keep.wants("scores")
        self.skips = self.skips and self.splits_heads
        ends = range(n_q, 0, -SKIPPING_ROWS)  # the last rows see most keys where a mask is causal
        self.waiting = deque(slice(max(0, end - SKIPPING_ROWS), end) for end in ends)
        empty = {"logits": -np.inf, "weights": 0.0} if self.skips else {}
        self.kept = {
            stage: _filled(self.shape, self.dtype, empty.get(stage))
            for stage in MATRICES
            if keep.wants(stage)
        }
        # as the output's map wants it: token by token
        size = (*q.shape[:-3], n_q, n_head, v.shape[-1])
        self.context = np.empty(size, np.result_type(self.dtype, v)).swapaxes(-3, -2)

    def rows(self, rows: slice) -> Array:
        """The context [n_head, n_row, d_v] of these queries; their matrices go where they are
        kept."""
        tiles = _tiles(
            self.shape, rows, max(self.group, self.v_group), self.splits_heads, self.skips
        )
        spare = (
            None if "weights" in self.kept else np.empty(_largest(tiles, self.shape), self.dtype)
        )
        # NaN and infinity are the input's, and are reported where they show: no warnings here
        with np.errstate(invalid="ignore", over="ignore"):
            for tile in tiles:
                self._tile(tile, self._reach(tile), spare)
        return self.context[..., rows, :]

    def rows_in_team(self, rows: slice, team: Team) -> Array:
        """The same for a thread of a team. Where some rows see more keys than others, each takes
        the next ones when it is free, and then waits until the rows of all are there."""
        if team.n == 1 or not self.skips:
            return self.rows(rows)
        while self.waiting:
            try:
                some = self.waiting.popleft()
            except IndexError:  # another thread was faster
                break
            self.rows(some)
        team.alone(lambda: None)
        return self.context[..., rows, :]

    def finish(self) -> None:
        """Hand over what was computed of all rows."""
        for stage, array in self.kept.items():
            self.keep.keep(stage, array)
        self.keep.keep("context", self.context)

    def _reach(self, tile: Tile) -> slice:
        """The keys that some query of the tile sees, and those between them."""
        if not self.skips:
            return slice(0, self.shape[-1])
        assert self.visible is not None
        seen = np.flatnonzero(np.broadcast_to(self.visible, self.shape[-2:])[tile[1]].any(0))
        return slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, 0)

    def _tile(self, tile: Tile, keys: slice, spare: Array | None) -> None:
        """Some heads and queries: from scores to weights, and on into the context."""
        heads, queries = tile
        cells = (..., heads, queries, keys)
        room = self.kept["weights"][cells] if spare is None else _corner(spare, tile, keys)
        x = self._scores(
            self.q[..., heads, queries, :], _of_group(self.k, heads, self.group, keys), room
        )
        visible = _part(self.visible, (heads, queries, keys), self.shape)
        if "scores" in self.kept:
            self.kept["scores"][cells] = x
        if self.softcap:
            x /= self.softcap
            np.tanh(x, out=x)
            x *= self.softcap
        if self.bias is not None:
            x += _part(self.bias, (heads, queries, keys), self.shape)
        # under a mask, what hidden cells hold must not even decide how the others are rounded
        within = (float(x.min()), float(x.max())) if x.size and visible is None else None
        hide(x, visible)
        if "logits" in self.kept:
            self.kept["logits"][cells] = x
        sinks = None if self.sinks is None else np.asarray(self.sinks)[heads]
        seen = EVERY_CELL if visible is None else visible
        softmax_in_place(x, sinks, within=within, visible=seen)
        v = _of_group(self.v, heads, self.v_group, keys)
        out = self.context[..., heads, queries, :]
        if self.v_is_finite:
            np.matmul(_grouped(x, self.v_group), v, out=_grouped(out, self.v_group))
        else:
            v = (
                np.broadcast_to(v, (*v.shape[:-3], self.v_group, *v.shape[-2:]))
                if self.v_group > 1
                else v
            )
            mix(x, v.reshape(*x.shape[:-2], *v.shape[-2:]), visible, out=out)

    def _scores(self, q: Array, k: Array, room: Array) -> Array:
        """[n_head, n_q, d_k], [n_head, n_k, d_k] or in groups -> `room`."""
        if self.takes_out:
            self.score(_grouped(q, self.group), k, out=_grouped(room, self.group))
            return room
        scores = np.asarray(self.score(q, k))
        check_scores(scores, room.shape)
        room[...] = scores
        return room


Tile = tuple[slice, slice]
"""Heads and queries."""


def _filled(shape: tuple[int, ...], dtype: np.dtype[Any], number: float | None) -> Array:
    """Zeros cost nothing until somebody looks at them."""
    if number is None:
        return np.empty(shape, dtype)
    return np.full(shape, number, dtype) if number else np.zeros(shape, dtype)


def _grouped(x: Array, group: int) -> Array:
    """[n_head, …] -> [n_kv_head, group, …], the same memory: the query heads that share a key."""
    if group == 1:
        return x
    return x.reshape(*x.shape[:-3], x.shape[-3] // group, group, *x.shape[-2:])


def _of_group(x: Array, heads: slice, group: int, keys: slice) -> Array:
    """[n_kv_head, n_k, d] -> those of these query heads, [n_kv_head, 1, n_k, d] where several
    query heads share one."""
    if group == 1:
        return x[..., heads, keys, :]
    return x[..., heads.start // group : -(-heads.stop // group), None, keys, :]


def _largest(tiles: list[tuple[slice, slice]], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the largest tile, the first one."""
    heads, queries = tiles[0]
    return (*shape[:-3], heads.stop - heads.start, queries.stop - queries.start, shape[-1])


def _corner(spare: Array, tile: Tile, keys: slice) -> Array:
    n_head, n_row, n_key = (part.stop - part.start for part in (*tile, keys))
    return spare[..., :n_head, :n_row, :n_key]


def check_scores(scores: Array, shape: tuple[int, ...]) -> None:
    """Raise AttnvizError unless these are real numbers that broadcast to the shape [n_head, n_q,
    n_k]: a function of somebody else's may return anything."""
    if scores.shape != shape:
        check_broadcast("array that the score returns", scores, shape)
    if scores.dtype.kind not in "fiub":
        raise AttnvizError(
            f"the score returns {scores.dtype}; expected real numbers",
            "it is a function (q, k) -> scores",
        )


def _tiles(
    shape: tuple[int, ...], rows: slice, group: int, splits_heads: bool, skips: bool
) -> list[Tile]:
    """The heads and queries of tiles whose scores stay in a processor's cache while they are
    made, capped, masked and normalised. Heads that share keys are together."""
    n_head, n_k = shape[-3], shape[-1]
    row = max(1, math.prod(shape[:-3]) * n_k * 4)
    n_row = max(1, rows.stop - rows.start)
    if skips:
        n_row = min(n_row, SKIPPING_ROWS)
    heads = n_head
    if splits_heads:
        heads = min(n_head, max(1, TILE_BYTES // (row * n_row * group)) * group)
    if row * n_row * heads > BLOCK_BYTES:
        n_row = max(1, TILE_BYTES // (row * heads))
    return [
        (slice(head, min(head + heads, n_head)), slice(start, min(start + n_row, rows.stop)))
        for start in range(rows.start, max(rows.start + 1, rows.stop), n_row)
        for head in range(0, max(1, n_head), max(1, heads))
    ]


def _without_barred(
    visible: Bool | None, bias: Array | None, shape: tuple[int, ...]
) -> Bool | None:
    """The mask, which a bias of -inf is a part of. Raises AttnvizError if either does not fit."""
    if bias is not None:
        check_broadcast("bias", bias, shape)
        barred = np.isneginf(bias)
        if barred.any():
            visible = ~barred if visible is None else visible & ~barred
    if visible is not None:
        check_broadcast("mask", visible, shape)
    return visible


def _part(
    x: Array | None, cells: tuple[slice, slice, slice], shape: tuple[int, ...]
) -> Array | None:
    """Some cells of an array that only broadcasts to [..., n_head, n_q, n_k]."""
    if x is None:
        return None
    axes = zip(x.shape[-3:], shape[-3:][-x.ndim :], cells[-x.ndim :], strict=True) if x.ndim else ()
    index: Any = (..., *(part if n == m > 1 else slice(None) for n, m, part in axes))
    part: Array = x[index]
    return part


def mix(weights: Array, v: Array, visible: Bool | None = None, out: Array | None = None) -> Array:
    """weights [n_head, n_q, n_k] times v [n_head, n_k, d_v]: a masked key adds nothing.

    A plain product would let the NaN of a masked value through, as 0 · NaN.
    """
    finite = np.isfinite(v)
    if finite.all():
        return np.matmul(weights, v, out=out)
    context = np.matmul(weights, np.where(finite, v, 0), out=out)
    for key in np.flatnonzero(~finite.all(axis=-1).reshape(-1, v.shape[-2]).all(axis=0)):
        share = weights[..., :, key, None] * v[..., key, None, :]
        adds = ~finite[..., key, None, :]
        if visible is not None:
            adds = adds & np.broadcast_to(visible, weights.shape)[..., :, key, None]
        context += np.where(adds, share, 0)
    return context
