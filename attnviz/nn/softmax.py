"""Softmax that is right at the edges."""

from __future__ import annotations

import numpy as np

from attnviz.nn.types import Array, Bool, floating

SAFE = 75.0
"""exp(±75) and sums of such numbers are far from the ends of float32."""


def softmax(logits: Array, axis: int = -1, sinks: Array | None = None) -> Array:
    """exp(x) / Σ exp(x) over `axis`, shifted by the largest value: [...] -> [...].

    -inf gives exactly 0, and a row of -inf only gives zeros, not NaN and not a uniform row.
    NaN and +inf give NaN. With sinks [n_head], the logits are [n_head, n_q, n_k] and exp(sink)
    enters the sum as well (OpenAI 2025, gpt-oss).
    """
    logits = floating(logits)
    sink = -np.inf if sinks is None else _by_head(sinks, logits)
    with np.errstate(invalid="ignore", over="ignore"):
        peak = np.maximum(logits.max(axis, keepdims=True, initial=-np.inf), sink)
        peak = np.where(np.isneginf(peak), 0, peak).astype(logits.dtype)
        powers = np.exp(logits - peak)
        total = powers.sum(axis, keepdims=True) + np.exp(sink - peak)
        return np.asarray(powers / np.where(total == 0, 1, total))


def masked_softmax(scores: Array, visible: Bool | None, sinks: Array | None = None) -> Array:
    """Softmax over the visible keys: scores [n_head, n_q, n_k] -> weights [n_head, n_q, n_k].

    Args:
        scores: finite or not; what a masked cell holds has no influence, NaN included.
        visible: True = visible, broadcasts to the scores; None shows all.
        sinks: [n_head] logits that only enter the denominator.
    """
    return softmax(scores if visible is None else np.where(visible, scores, -np.inf), sinks=sinks)


def jacobian(weights: Array) -> Array:
    """How weights [..., n_k] move with their logits: ∂w_i/∂x_j = w_i (δ_ij - w_j),
    [..., n_k, n_k]."""
    diagonal = weights[..., :, None] * np.eye(weights.shape[-1], dtype=weights.dtype)
    return np.asarray(diagonal - weights[..., :, None] * weights[..., None, :])


def hide(logits: Array, visible: Bool | None) -> Array:
    """Set the masked cells to -inf, in place: no finite fill is below every possible score.

    logits [n_head, n_q, n_k]; `visible` broadcasts to them.
    """
    if visible is not None:
        np.copyto(logits, -np.inf, where=~visible)
    return logits


def softmax_in_place(
    logits: Array,
    sinks: Array | None = None,
    *,
    within: tuple[float, float] | None = None,
    visible: Bool | None = None,
) -> Array:
    """`softmax` of logits [n_head, n_q, n_k] over the last axis, in the same memory.

    `visible` (True = visible, broadcasts to the logits), where it is given: a row of -inf alone
    in which a key is visible has overflowed, and becomes NaN; masked cells are 0 in such rows too.
    `within` bounds the logits of all visible cells, where the caller knows such bounds: between
    ±75, exp neither overflows nor vanishes, and the largest value of each row need not be found.
    """
    if not logits.size:
        return logits
    bounded = within is not None and -SAFE < within[0] <= within[1] < SAFE
    with np.errstate(invalid="ignore", over="ignore"):
        peak = None
        if not bounded or sinks is not None:
            peak = _peak(logits, sinks)
            logits -= peak
        np.exp(logits, out=logits)
        total = (logits @ np.ones(logits.shape[-1], logits.dtype))[..., None]
        if sinks is not None:
            total += np.exp(_by_head(sinks, logits) - peak)
        empty = total == 0
        total[empty] = 1
        if visible is not None and empty.any():
            seen = np.broadcast_to(visible, logits.shape).any(-1, keepdims=True)
            total[empty & seen] = np.nan
        logits /= total
    if visible is not None and np.isnan(total).any():
        np.copyto(logits, 0, where=~visible)
    return logits


def _peak(logits: Array, sinks: Array | None) -> Array:
    """The largest of each row, sinks included; 0 for a row that sees no key: exp(-inf) is 0."""
    peak: Array = logits.max(-1, keepdims=True)
    if sinks is not None:
        peak = np.maximum(peak, _by_head(sinks, logits))
    peak[np.isneginf(peak)] = 0
    return peak


def _by_head(sinks: Array, logits: Array) -> Array:
    return np.asarray(sinks, logits.dtype)[..., :, None, None]
