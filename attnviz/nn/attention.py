"""Attention itself: scores, cap, bias, mask, softmax, weighted sum, each stage kept on request."""

from __future__ import annotations

import functools
import math
from typing import Literal, NamedTuple, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn import masks
from attnviz.nn.heads import check_broadcast, check_shapes, repeat_heads
from attnviz.nn.scores import SCORES, Score, entry_of
from attnviz.nn.softmax import hide, softmax_in_place
from attnviz.nn.types import Array, Bool, floating

STAGES = ("q", "k", "v", "scores", "logits", "mask", "weights", "context")
MATRICES = ("scores", "logits", "weights")

TILE_BYTES = 1 << 20
BLOCK_BYTES = 1 << 26


class Attention(NamedTuple):
    """All stages of one attention, with the leading axes of the input."""

    q: Array
    """[n_head, n_q, d_k]"""
    k: Array
    """[n_kv_head, n_k, d_k]"""
    v: Array
    """[n_kv_head, n_k, d_v]"""
    scores: Array
    """[n_head, n_q, n_k]: scaled similarity, before cap, bias and mask."""
    logits: Array
    """[n_head, n_q, n_k]: what enters the softmax; -inf where masked."""
    mask: Bool
    """True = visible; [n_q, n_k], or with as many leading axes as the mask that was given."""
    weights: Array
    """[n_head, n_q, n_k]: exactly 0 where masked; a row that sees no key is all zero."""
    context: Array
    """[n_head, n_q, d_v]: weights times v."""


class Keep(Protocol):
    """What the computation hands its stages to."""

    def wants(self, stage: str) -> bool: ...

    def keep(self, stage: str, array: Array) -> None: ...


class KeepNothing:
    """Of a run that nobody records: keeps nothing, so nothing is copied."""

    def wants(self, stage: str) -> bool:
        return False

    def keep(self, stage: str, array: Array) -> None:
        pass


class KeepAll:
    """Keeps every stage, by name."""

    def __init__(self) -> None:
        self.stages: dict[str, Array] = {}

    def wants(self, stage: str) -> bool:
        return True

    def keep(self, stage: str, array: Array) -> None:
        self.stages[stage] = array


def attend(
    q: Array,
    k: Array,
    v: Array,
    *,
    score: str | Score = "scaled_dot",
    scale: float | None = None,
    mask: Array | None = None,
    bias: Array | None = None,
    causal: bool | Literal["lower_right", "upper_left"] = False,
    window: int | tuple[int | None, int | None] | None = None,
    softcap: float | None = None,
    sinks: Array | None = None,
) -> Attention:
    """Attention with all its stages.

    Args:
        q: [n_head, n_q, d_k], any leading axes.
        k: [n_kv_head, n_k, d_k]; n_head is a multiple of n_kv_head, consecutive query heads
            share one key/value head.
        v: [n_kv_head, n_k, d_v].
        score: the name of a scoring function, or a function `(q, k, scale=…) -> scores`.
            The scores with learned parameters need them bound:
            `functools.partial(scores.additive, w_q=…, w_k=…, w_v=…)`.
        scale: a factor on the similarity; by default 1/√d_k for `scaled_dot`, 1 for the others.
        mask: boolean, True = visible, broadcasts to [n_head, n_q, n_k].
        bias: added to the scores, broadcasts to [n_head, n_q, n_k]; -inf masks a cell.
        causal: True or "lower_right" aligns the last query with the last key,
            "upper_left" the first with the first.
        window: a key is visible if it is less than `window` positions away, the query's own
            included; or a pair (left, right) of inclusive distances, None for no bound.
        softcap: c·tanh(scores/c), before bias and mask (Gemma 2).
        sinks: [n_head] logits that only enter the softmax's denominator (gpt-oss).

    Returns:
        The stages. NaN and infinity in the input are neither hidden nor replaced: they show in
        every result that they reach. Masked keys reach none, whatever they hold.

    Raises:
        AttnvizError: shapes that do not fit, an unknown score, a mask that is not boolean.

    Source: Vaswani et al. 2017, section 3.2; grouped heads: Ainslie et al. 2023.
    """
    q, k, v = (floating(np.asarray(x)) for x in (q, k, v))
    check_shapes(q, k, v)
    rules = masks.CAUSAL if check_alignment(causal) else masks.NONE
    if window is not None:
        rules += _window(window)
    if mask is not None:
        rules += masks.custom(mask)
    n_q, n_k = q.shape[-2], k.shape[-2]
    offset = 0 if causal == "upper_left" else n_k - n_q
    kept = KeepAll()
    attention(
        q,
        k,
        v,
        score=SCORES[score].function if isinstance(score, str) else score,
        scale=scale,
        softcap=softcap,
        bias=None if bias is None else np.asarray(bias),
        visible=rules.visible(np.arange(n_q) + offset, np.arange(n_k)),
        sinks=sinks,
        keep=kept,
    )
    return Attention(*(kept.stages[stage] for stage in STAGES))


def attention(
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
    keep: Keep | None = None,
) -> Array:
    """The context [n_head, n_q, d_v] of `attend`, whose arguments these are; `visible` is the
    whole mask.

    No matrix of all heads is ever whole in memory unless it is kept.
    """
    keep = keep or KeepNothing()
    for stage, array in (("q", q), ("k", k), ("v", v)):
        keep.keep(stage, array)
    n_head, n_q, n_k = q.shape[-3], q.shape[-2], k.shape[-2]
    k, v = repeat_heads(k, n_head), repeat_heads(v, n_head)
    shape = (*q.shape[:-1], n_k)
    visible = _without_barred(visible, bias, shape)
    if keep.wants("mask"):
        whole = np.ones((n_q, n_k), bool) if visible is None else visible
        keep.keep("mask", np.broadcast_to(whole, np.broadcast_shapes(whole.shape, (n_q, n_k))))
    if bias is not None:
        keep.keep("bias", bias)
    # a function of somebody else's may have parameters for each head, and knows no `out`
    entry = entry_of(score)
    ours, takes_out = entry is not None, entry is not None and entry.takes("out")
    if entry is not None and not entry.takes("scale"):
        score = _scaled(score, scale)
    elif scale is not None:
        score = functools.partial(score, scale=scale)
    dtype = np.result_type(q, k)
    kept = {stage: np.empty(shape, dtype) for stage in MATRICES if keep.wants(stage)}
    context = np.empty((*q.shape[:-1], v.shape[-1]), np.result_type(dtype, v))
    tiles = _tiles(shape, split_heads=ours)
    heads, queries = tiles[0]
    spare = np.empty(0, dtype)
    if "weights" not in kept:
        largest = (*shape[:-3], min(n_head, heads.stop), min(n_q, queries.stop), n_k)
        spare = np.empty(largest, dtype)
    # NaN and infinity are the input's, and are reported where they show: no warnings here
    with np.errstate(invalid="ignore", over="ignore"):
        for heads, queries in tiles:
            cells = (..., heads, queries, slice(None))
            q_tile = q[cells]
            room = kept["weights"][cells] if "weights" in kept else spare
            _attend_tile(
                q_tile,
                k[..., heads, :, :],
                v[..., heads, :, :],
                score=functools.partial(score, out=room)
                if takes_out and "weights" in kept
                else score,
                softcap=softcap,
                bias=_part(bias, heads, queries, shape),
                visible=_part(visible, heads, queries, shape),
                sinks=None if sinks is None else np.asarray(sinks)[heads],
                room=room[..., : q_tile.shape[-3], : q_tile.shape[-2], :],
                kept={stage: array[cells] for stage, array in kept.items()},
                context=context[cells],
            )
    for stage, array in kept.items():
        keep.keep(stage, array)
    keep.keep("context", context)
    return context


def _scaled(score: Score, scale: float | None) -> Score:
    """A score that takes no scale, scaled."""
    return score if scale is None else lambda q, k: scale * score(q, k)


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
    softmax_in_place(x, sinks, within=within)
    mix(x, v, visible, out=context)


def _tiles(shape: tuple[int, ...], split_heads: bool) -> list[tuple[slice, slice]]:
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


def _part(x: Array | None, heads: slice, queries: slice, shape: tuple[int, ...]) -> Array | None:
    """The tile of an array that only broadcasts to [..., n_head, n_q, n_k]."""
    if x is None:
        return None
    n_head, n_q = shape[-3:-1]
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


def check_alignment(causal: bool | str) -> bool:
    """Whether the argument `causal` asks for a causal mask; an unknown alignment is refused."""
    if causal in (True, False, "lower_right", "upper_left"):
        return bool(causal)
    raise AttnvizError(
        f"unknown causal alignment: {causal!r}", 'use True, False, "lower_right" or "upper_left"'
    )


def _window(window: int | tuple[int | None, int | None]) -> masks.Mask:
    if isinstance(window, tuple):
        left, right = window
        return masks.Mask((("window", lambda q, k: masks.band(q, k, left=left, right=right)),))
    if window < 1:
        raise AttnvizError(
            f"a window holds at least the query itself: expected ≥ 1, got {window}", "window=1"
        )
    return masks.Mask((("window", lambda q, k: masks.window(q, k, size=window)),))
