"""Attention in tiles that stay in a processor's cache, its stages handed to whoever keeps them.

The same as `attention.attention`, and held equal to it by a test.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.heads import check_broadcast, repeat_heads
from attnviz.nn.scores import Score, entry_of, scaled
from attnviz.nn.softmax import hide, softmax_in_place
from attnviz.nn.stages import MATRICES, DiscardStages, StageKeeper
from attnviz.nn.types import Array, Bool

EVERY_CELL = np.array(True)
"""The mask where there is none."""

TILE_BYTES = 1 << 20
BLOCK_BYTES = 1 << 26


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
    keep = keep or DiscardStages()
    for stage, array in (("q", q), ("k", k), ("v", v)):
        keep.keep(stage, array)
    n_head, n_q, n_k = q.shape[-3], q.shape[-2], k.shape[-2]
    k, v = repeat_heads(k, n_head), repeat_heads(v, n_head)
    shape = (*q.shape[:-1], n_k)
    visible = _without_barred(visible, bias, shape)
    if keep.wants("mask"):
        mask = np.ones((n_q, n_k), bool) if visible is None else visible
        keep.keep("mask", np.broadcast_to(mask, np.broadcast_shapes(mask.shape, (n_q, n_k))))
    if bias is not None:
        keep.keep("bias", bias)
    dtype = np.result_type(q, k)
    kept = {stage: np.empty(shape, dtype) for stage in MATRICES if keep.wants(stage)}
    context = np.empty((*q.shape[:-1], v.shape[-1]), np.result_type(dtype, v))
    entry = entry_of(score)
    score = scaled(score, scale)
    takes_out = "weights" in kept and entry is not None and entry.takes("out")
    # a function of somebody else's may have parameters for each head, so it gets all of them
    tiles = _tiles(shape, split_heads=entry is not None)
    spare = None if "weights" in kept else _spare(shape, tiles[0], dtype)
    # NaN and infinity are the input's, and are reported where they show: no warnings here
    with np.errstate(invalid="ignore", over="ignore"):
        for tile in tiles:
            cells = (..., *tile, slice(None))
            q_tile = q[cells]
            room = kept["weights"][cells] if spare is None else _corner(spare, q_tile)
            _attend_tile(
                q_tile,
                k[..., tile[0], :, :],
                v[..., tile[0], :, :],
                score=functools.partial(score, out=room) if takes_out else score,
                softcap=softcap,
                bias=_part(bias, tile, shape),
                visible=_part(visible, tile, shape),
                sinks=None if sinks is None else np.asarray(sinks)[tile[0]],
                room=room,
                kept={stage: array[cells] for stage, array in kept.items()},
                context=context[cells],
            )
    for stage, array in kept.items():
        keep.keep(stage, array)
    keep.keep("context", context)
    return context


Tile = tuple[slice, slice]
"""Heads and queries."""


def _spare(shape: tuple[int, ...], first: Tile, dtype: np.dtype[Any]) -> Array:
    """Memory for the largest tile, the first one."""
    heads, queries = (min(n, part.stop) for n, part in zip(shape[-3:-1], first, strict=True))
    return np.empty((*shape[:-3], heads, queries, shape[-1]), dtype)


def _corner(spare: Array, q_tile: Array) -> Array:
    return spare[..., : q_tile.shape[-3], : q_tile.shape[-2], :]


def _attend_tile(
    q: Array,
    k: Array,
    v: Array,
    *,
    score: Score,
    softcap: float | None,
    bias: Array | None,
    visible: Bool | None,
    sinks: Array | None,
    room: Array,
    kept: dict[str, Array],
    context: Array,
) -> None:
    """Some heads and queries: from scores to weights in `room`, and on into `context`."""
    x = score(q, k)
    if x is not room:
        check_scores(np.asarray(x), room.shape)
        room[...] = x
        x = room
    if "scores" in kept:
        kept["scores"][...] = x
    if softcap:
        x /= softcap
        np.tanh(x, out=x)
        x *= softcap
    if bias is not None:
        x += bias
    # under a mask, what hidden cells hold must not even decide how the others are rounded
    within = (float(x.min()), float(x.max())) if x.size and visible is None else None
    hide(x, visible)
    if "logits" in kept:
        kept["logits"][...] = x
    softmax_in_place(x, sinks, within=within, visible=EVERY_CELL if visible is None else visible)
    mix(x, v, visible, out=context)


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


def _tiles(shape: tuple[int, ...], split_heads: bool) -> list[Tile]:
    """The heads and queries of tiles whose scores stay in a processor's cache while they are
    made, capped, masked and normalised; rows are split only where one head is very large."""
    n_head, n_q, n_k = shape[-3:]
    row = max(1, math.prod(shape[:-3]) * n_k * 4)
    heads, rows = n_head, n_q
    if split_heads:
        heads = min(n_head, max(1, TILE_BYTES // max(1, row * n_q)))
    if row * n_q * heads > BLOCK_BYTES:
        rows = max(1, TILE_BYTES // (row * heads))
    return [
        (slice(head, head + heads), slice(start, start + rows))
        for head in range(0, max(1, n_head), max(1, heads))
        for start in range(0, max(1, n_q), max(1, rows))
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


def _part(x: Array | None, tile: Tile, shape: tuple[int, ...]) -> Array | None:
    """The tile of an array that only broadcasts to [..., n_head, n_q, n_k]."""
    if x is None:
        return None
    (heads, queries), (n_head, n_q) = tile, shape[-3:-1]
    if x.ndim > 1 and x.shape[-2] == n_q > 1:
        x = x[..., queries, :]
    if x.ndim > 2 and x.shape[-3] == n_head > 1:
        x = x[..., heads, :, :]
    return x


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
