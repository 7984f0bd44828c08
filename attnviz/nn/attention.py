"""Attention itself: scores, cap, bias, mask, softmax, weighted sum.

`attention` is the formula; `attend` is what to call. It computes the same in tiles.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from attnviz.nn import arguments, masks
from attnviz.nn.heads import check_shapes, repeat_heads
from attnviz.nn.scores import Score, scaled, scaled_dot
from attnviz.nn.softmax import softmax
from attnviz.nn.stages import STAGES, CollectStages
from attnviz.nn.threads import suited_to
from attnviz.nn.tiled import tiled_attention
from attnviz.nn.types import Array, Bool, floating


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

    def __repr__(self) -> str:
        """The shapes of the stages; never the numbers."""
        shapes = ", ".join(f"{name} {list(a.shape)}" for name, a in self._asdict().items())
        return f"<Attention: {shapes}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: a page, a picture, a few lines of text."""
        from attnviz import display

        return display.mime_bundle(self, include, exclude)


@np.errstate(invalid="ignore", over="ignore")  # NaN and infinity show in the result
def attention(
    q: Array,
    k: Array,
    v: Array,
    *,
    score: Score = scaled_dot,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Array | float = 0.0,
    visible: Bool | bool = True,
    sinks: Array | None = None,
) -> Attention:
    """softmax(cap(score(q, k)) + bias) v over the visible keys, as `attend` describes it.

    q [n_head, n_q, d_k], k [n_kv_head, n_k, d_k], v [n_kv_head, n_k, d_v]; `bias` and `visible`
    (True = visible) broadcast to [n_head, n_q, n_k]; sinks [n_head]. Any leading axes.
    """
    n_head, n_q, n_k = q.shape[-3], q.shape[-2], k.shape[-2]
    keys, values = repeat_heads(k, n_head), repeat_heads(v, n_head)
    scores = scaled(score, scale)(q, keys)
    capped = softcap * np.tanh(scores / softcap) if softcap else scores
    mask = np.ones((n_q, n_k), bool) & visible & ~np.isneginf(bias)
    logits = np.where(mask, capped + np.asarray(bias, scores.dtype), -np.inf)
    weights = np.where(mask, softmax(logits, sinks=sinks), 0)
    # visible keys that are all -inf have overflowed: nobody knows their shares
    sink = -np.inf if sinks is None else np.asarray(sinks)[..., None]
    overflowed = mask.any(-1) & np.isneginf(logits).all(-1) & np.isneginf(sink)
    weights = np.where(overflowed[..., None] & mask, np.nan, weights)
    # weights @ values, but that a masked key adds nothing, not even the NaN that it may hold
    seen = np.where(mask[..., None], values[..., None, :, :], 0)
    context = np.einsum("...k,...kd->...d", weights, seen)
    return Attention(q, k, v, scores, logits, mask, weights, context)


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
    """Attention with all its stages: `attention`, fast, and with the usual masks by name.

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
        softcap: c·tanh(scores/c), before bias and mask (Gemma 2); None or 0 for no cap.
        sinks: [n_head] logits that only enter the softmax's denominator (gpt-oss).

    Returns:
        The stages. NaN and infinity in the input are neither hidden nor replaced: they show in
        every result that they reach. Masked keys reach none, whatever they hold. A row whose
        scores overflow, so that softmax cannot tell its keys apart, is NaN in the weights and in
        the context: `np.isnan(weights).any(-1)` names such rows.

    Raises:
        AttnvizError: an argument of a wrong type, shape or range, by its name.

    Source: Vaswani et al. 2017, section 3.2; grouped heads: Ainslie et al. 2023.
    """
    q, k, v = (floating(arguments.numbers(name, x)) for name, x in (("q", q), ("k", k), ("v", v)))
    check_shapes(q, k, v)
    rules = masks.CAUSAL if arguments.alignment(causal) else masks.NONE
    if window is not None:
        rules += arguments.window_mask(window)
    if mask is not None:
        rules += masks.custom(arguments.as_array("mask", mask))
    n_q, n_k = q.shape[-2], k.shape[-2]
    offset = 0 if isinstance(causal, str) and causal == "upper_left" else n_k - n_q
    stages = CollectStages()
    with suited_to(n_k * (q.size + math.prod(q.shape[:-1]) * v.shape[-1])):
        tiled_attention(
            q,
            k,
            v,
            score=arguments.scoring(score, q, k),
            scale=arguments.real("scale", scale),
            softcap=arguments.cap(softcap, np.result_type(q, k)),
            bias=arguments.added(bias),
            visible=rules.visible(np.arange(n_q) + offset, np.arange(n_k)),
            sinks=arguments.sink_logits(sinks, q.shape[-3]),
            keep=stages,
        )
    return Attention(*(stages.stages[stage] for stage in STAGES))
