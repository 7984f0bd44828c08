"""Inputs on which the known mistakes give different outputs.

Where two sizes are equal, or a mask is square, or a batch has one item, different mistakes give
the same numbers. Here all sizes and their square roots differ, d_k is no multiple of 16, no query
sees more keys than d_v, values do not average to zero, and each text is padded in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, computation
from attnviz.analysis.diagnose.facts import Facts, Paged, Rotary
from attnviz.analysis.diagnose.masking import Segments
from attnviz.nn.positions import alibi_slopes, rope_angles, rotate
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array

N_BATCH, N_HEAD, N_KV_HEAD, N_Q, N_K, D_K, D_V, D_MODEL = 3, 6, 2, 11, 17, 20, 23, 113
"""d_model is not n_head · d_k, as in Gemma 2."""

PADDED = ((0, 0), (0, 3), (2, 0))
"""Keys of each text that are padding, at its left and its right."""

WINDOW, SOFTCAP, BLOCK_SIZE = 7, 3.0, 4


def _normal(name: str, *shape: int) -> Array:
    return np.asarray(normal(shape, 15, name), np.float64)


def probe(features: Collection[str] = ()) -> Computation:
    """A computation with grouped heads, more keys than queries, and these of `FEATURES`."""
    q = _normal("q", N_BATCH, N_HEAD, N_Q, D_K)
    k = _normal("k", N_BATCH, N_KV_HEAD, N_K, D_K)
    v = _normal("v", N_BATCH, N_KV_HEAD, N_K, D_V)
    c = computation(q, k, v + 0.5, facts=Facts(d_model=D_MODEL))
    c = c.with_masking(offset=N_K - N_Q)
    for name, add in FEATURES.items():
        if name in features:
            c = add(c)
    return c


def _square(c: Computation) -> Computation:
    q = _normal("q", N_BATCH, N_HEAD, c.n_k, D_K)
    return replace(c, q=q, n_q=c.n_k, rows=np.arange(c.n_k)).with_masking(offset=0)


def _ungrouped(c: Computation) -> Computation:
    k = _normal("k", N_BATCH, N_HEAD, c.n_k, D_K)
    return replace(c, k=k, v=_normal("v", N_BATCH, N_HEAD, c.n_k, D_V) + 0.5)


def _narrow(c: Computation) -> Computation:
    return replace(c, v=c.v[..., :D_K])


def _causal(c: Computation) -> Computation:
    return c.with_masking(causal=True)


def _padding(c: Computation) -> Computation:
    places = np.arange(c.n_k)
    keys = [(places >= left) & (places < c.n_k - right) for left, right in PADDED]
    return c.with_masking(keys=np.array(keys)[:, None, None, :])


def _window(c: Computation) -> Computation:
    return c.with_masking(left=WINDOW - 1)


def _softcap(c: Computation) -> Computation:
    return replace(c, softcap=SOFTCAP)


def _bias(c: Computation) -> Computation:
    return replace(c, bias=_normal("bias", c.n_head, c.n_q, c.n_k))


def _alibi(c: Computation) -> Computation:
    slopes = alibi_slopes(c.n_head)
    distance = np.abs(c.masking.distance(c.rows, c.n_k))
    facts = replace(c.facts, alibi=slopes)
    return replace(c, bias=-slopes[:, None, None] * distance, facts=facts)


def _sinks(c: Computation) -> Computation:
    return replace(c, sinks=_normal("sinks", c.n_head))


def _segments(c: Computation) -> Computation:
    keys = np.searchsorted((5, 11), np.arange(c.n_k), "right")
    return c.with_masking(segments=Segments(keys[c.n_k - c.n_q :], keys))


def _rotary(c: Computation) -> Computation:
    """Positions count from the first token that is no padding."""
    left = np.array([each[0] for each in PADDED])[:, None]
    keys = c.masking.keys
    left = left if keys is not None else left * 0
    k_positions = np.maximum(np.arange(c.n_k) - left, 0)
    q_positions = k_positions[:, c.n_k - c.n_q :]
    rotary = Rotary(c.q, c.k, q_positions, k_positions)
    return replace(
        c,
        q=_rotated(c.q, q_positions),
        k=_rotated(c.k, k_positions),
        facts=replace(c.facts, rotary=rotary),
    )


def _rotated(x: Array, positions: Array) -> Array:
    angles = np.stack([rope_angles(each, x.shape[-1]) for each in positions])[:, None]
    return np.asarray(rotate(x, np.cos(angles), np.sin(angles)))


def _norm(c: Computation) -> Computation:
    """RMSNorm of queries and keys, without gains."""
    scales = 1 + 0.3 * _normal("norm", 2, D_K)
    before = c.q * 1.7, c.k * 0.6
    q, k = (
        x / np.sqrt((x**2).mean(-1, keepdims=True)) * gain
        for x, gain in zip(before, scales, strict=True)
    )
    return replace(c, q=q, k=k, facts=replace(c.facts, normed_from=before))


def _paged(c: Computation) -> Computation:
    """Keys and values in blocks, in an order of their own; each text has its own length."""
    n_block = -(-c.n_k // BLOCK_SIZE)
    shape = (c.q.shape[0] * n_block + 2, BLOCK_SIZE, c.n_kv_head)
    keys, values = (
        _normal(f"stale {name}", *shape, x.shape[-1]) for name, x in (("k", c.k), ("v", c.v))
    )
    order = np.argsort(normal((c.q.shape[0] * n_block,), 15, "blocks"))
    tables = order.reshape(-1, n_block)
    for item, table in enumerate(tables):
        for token in range(c.n_k):
            block, slot = table[token // BLOCK_SIZE], token % BLOCK_SIZE
            keys[block, slot], values[block, slot] = c.k[item, :, token], c.v[item, :, token]
    lengths = np.full(len(tables), c.n_k)
    return replace(c, facts=replace(c.facts, paged=Paged(keys, values, tables, lengths)))


FEATURES: Mapping[str, Callable[[Computation], Computation]] = {
    "square": _square,
    "ungrouped": _ungrouped,
    "narrow": _narrow,
    "causal": _causal,
    "padding": _padding,
    "window": _window,
    "segments": _segments,
    "softcap": _softcap,
    "norm": _norm,
    "rotary": _rotary,
    "bias": _bias,
    "alibi": _alibi,
    "sinks": _sinks,
    "paged": _paged,
}
"""What a probe may have beside q, k and v, in the order in which it is added."""

USUAL = ("causal", "padding")


def probe_arrays(features: Collection[str] = USUAL) -> dict[str, Array]:
    """The inputs of a probe as they are written into a file, by the names that `diagnose` reads:
    float32, the mask boolean [n_batch, 1, n_q, n_k], True = visible."""
    c = probe(features)
    arrays = {name: getattr(c, name) for name in "qkv"}
    if c.facts.rotary is not None:
        rotary = c.facts.rotary
        arrays |= {"q_pre": rotary.q, "k_pre": rotary.k}
        arrays |= {"q_positions": rotary.q_positions, "k_positions": rotary.k_positions}
    if c.bias is not None:
        arrays["bias"] = c.bias
    if c.sinks is not None:
        arrays["sinks"] = c.sinks
    if c.facts.alibi is not None:
        arrays["slopes"] = c.facts.alibi
    if c.facts.normed_from is not None:
        arrays |= dict(zip(("q_before_norm", "k_before_norm"), c.facts.normed_from, strict=True))
    arrays = {name: x.astype(np.float32) for name, x in arrays.items()}
    visible = c.visible()
    if visible is not None:
        arrays["mask"] = visible
    if c.softcap:
        arrays["softcap"] = np.array(c.softcap)
    arrays["d_model"] = np.array(D_MODEL)
    return arrays
