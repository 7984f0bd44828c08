"""ONNX's operators by attnviz: its calling conventions are translated, nothing is computed here.

The parameters have ONNX's names and defaults; one that is unknown here is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz import attend
from attnviz.nn import activations, masks, norms, positions
from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.softmax import softmax as softmax_over
from attnviz.nn.types import Array, Bool

PRECISIONS = {1: np.float32, 10: np.float16, 11: np.float64}
"""ONNX's numbers of data types."""

Window = tuple[int | None, int | None]


def attention(
    q: Array,
    k: Array,
    v: Array,
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    nonpad_kv_seqlen: Array | None = None,
    *,
    q_num_heads: int = 0,
    kv_num_heads: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
    qk_matmul_output_mode: int = 0,
    is_causal: int = 0,
    left_window_size: int = -1,
    right_window_size: int = -1,
) -> tuple[Array, ...]:
    """Y, present_key, present_value, qk_matmul_output."""
    dtype, merged = q.dtype, q.ndim == 3
    if merged:
        q = split_heads(q, q_num_heads)
        k, v = split_heads(k, kv_num_heads), split_heads(v, kv_num_heads)
    present = (k, v)
    if past_key is not None and past_value is not None:
        present = (np.concatenate([past_key, k], -2), np.concatenate([past_value, v], -2))
    n_q, n_k = q.shape[-2], present[0].shape[-2]
    window = (_bound(left_window_size), _bound(right_window_size))
    if nonpad_kv_seqlen is None:
        seen = _seen(n_q, n_k, n_k - k.shape[-2], bool(is_causal), window)
    else:
        seen = {"mask": _seen_by_text(n_q, n_k, nonpad_kv_seqlen, bool(is_causal), window)}
    if softmax_precision is not None:  # attend has one precision for all its stages
        q = q.astype(np.result_type(q, PRECISIONS[softmax_precision]))
    stages = attend(q, *present, scale=scale, softcap=softcap, **_with_mask(seen, attn_mask, n_k))
    capped = attend(q, *present, scale=scale, softcap=softcap).logits
    matrix = (stages.scores, capped, stages.logits, stages.weights)[qk_matmul_output_mode]
    y = merge_heads(stages.context) if merged else stages.context
    return y.astype(dtype), *present, matrix.astype(dtype)


def _bound(size: int) -> int | None:
    return None if size == -1 else size


def _seen(n_q: int, n_k: int, n_past: int, causal: bool, window: Window) -> dict[str, Any]:
    """Arguments of `attend`; a mask only where its alignments are not that of the cache."""
    if not causal and window == (None, None):
        return {}
    alignment = {n_k - n_q: "lower_right", 0: "upper_left"}.get(n_past)
    if causal and alignment:
        return {"causal": alignment, "window": window}
    return {"mask": _visible(np.arange(n_q) + n_past, np.arange(n_k), causal, window)}


def _seen_by_text(n_q: int, n_k: int, lengths: Array, causal: bool, window: Window) -> Bool:
    """[n_batch, 1, n_q, n_k]: the last query of each text is at the end of its valid keys."""
    k_pos = np.arange(n_k)
    texts = []
    for length in lengths.tolist():
        q_pos = np.arange(n_q) + length - n_q
        valid = masks.padding(q_pos, k_pos, lengths=(length,))
        texts.append(valid & _visible(q_pos, k_pos, causal, window))
    return np.stack(texts)[:, None]


def _visible(q_pos: Array, k_pos: Array, causal: bool, window: Window) -> Bool:
    visible = masks.band(q_pos, k_pos, left=window[0], right=window[1])
    return visible & masks.causal(q_pos, k_pos) if causal else visible


def _with_mask(seen: dict[str, Any], attn_mask: Array | None, n_k: int) -> dict[str, Any]:
    """The arguments with ONNX's mask, whose missing last columns are masked."""
    if attn_mask is None:
        return seen
    boolean = attn_mask.dtype == bool
    missing = [(0, 0)] * (attn_mask.ndim - 1) + [(0, n_k - attn_mask.shape[-1])]
    whole = np.pad(attn_mask, missing, constant_values=False if boolean else -np.inf)
    return seen | ({"mask": whole & seen.get("mask", True)} if boolean else {"bias": whole})


def rotary_embedding(
    x: Array,
    cos_cache: Array,
    sin_cache: Array,
    position_ids: Array | None = None,
    *,
    interleaved: int = 0,
    rotary_embedding_dim: int = 0,  # the caches have this width already
    num_heads: int = 0,
) -> tuple[Array]:
    rows = slice(None) if position_ids is None else position_ids
    cos, sin = cos_cache[rows][:, None], sin_cache[rows][:, None]
    heads = split_heads(x, num_heads) if x.ndim == 3 else x
    turned = positions.rotate(heads, cos, sin, "interleaved" if interleaved else "half")
    return (merge_heads(turned) if x.ndim == 3 else turned,)


def layer_normalization(
    x: Array, gain: Array, bias: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Y, Mean, InvStdDev."""
    axes = _axes_from(axis, x.ndim)
    _, mean, inverse = norms.standardise(x, axes, epsilon)
    return norms.layer_norm(x, gain, bias, eps=epsilon, axes=axes), mean, inverse


def rms_normalization(
    x: Array, gain: Array, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array]:
    return (norms.rms_norm(x, gain, eps=epsilon, axes=_axes_from(axis, x.ndim)),)


def _axes_from(axis: int, n_axis: int) -> range:
    return range(axis, n_axis if axis >= 0 else 0)


def gelu(x: Array, *, approximate: str = "none") -> tuple[Array]:
    return ({"none": activations.gelu, "tanh": activations.gelu_tanh}[approximate](x),)


def softmax(x: Array, *, axis: int = -1) -> tuple[Array]:
    return (softmax_over(x, axis),)
