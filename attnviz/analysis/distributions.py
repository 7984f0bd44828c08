"""Distributions over keys: how broad they are, and how far two of them are apart."""

from __future__ import annotations

import numpy as np

from attnviz.nn.types import Array, Bool

MAX_DIVERGENCE = float(np.log(2))
"""The Jensen-Shannon divergence of two rows that share no key, in nats."""


ROUNDING = 1e-2
"""How far from 1 a row may sum and still be a distribution: half precision rounds every weight."""


SUMMED = 1024
"""Numbers that are summed in their own precision; sums of more in float64."""


def are_distributions(weights: Array, partial: bool = False) -> Bool:
    """Whether the rows of a head are distributions over the keys, or zero where a query sees none:
    [..., n_q, n_k] -> [...]. Weights with NaN, infinity or anything below 0 are not.

    Args:
        partial: a sink outside the keys takes some of each row, which then sums to less than 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        sums = weights.sum(-1, dtype=np.float64)
        fits = (sums <= 1 + ROUNDING) & (partial | (sums >= 1 - ROUNDING) | (sums == 0))
        fits &= weights.min(-1, initial=0) >= 0
    return np.asarray(fits.all(-1))


def entropy(weights: Array) -> Array:
    """-Σ_j w_j ln w_j over the last axis, in nats, summed in float64: [..., n_k] -> [...].

    Source: Shannon 1948, section 6.
    """
    if weights.dtype.itemsize < 4:  # the logarithms of half precision are as coarse as the weights
        weights = weights.astype(np.float32)
    logarithms = np.maximum(weights, np.finfo(weights.dtype).tiny)
    np.log(logarithms, out=logarithms)
    total = np.zeros(weights.shape[:-1])
    for start in range(0, weights.shape[-1], SUMMED):
        keys = slice(start, start + SUMMED)
        total -= np.vecdot(weights[..., keys], logarithms[..., keys])
    return total


def spread_evenly(visible: Bool) -> Array:
    """The weights of a head that gives every visible key the same: [..., n_k] -> [..., n_k]."""
    count = visible.sum(-1, keepdims=True)
    even: Array = visible / np.maximum(count, 1)
    return even


def jensen_shannon(a: Array, b: Array, entropies: tuple[Array, Array] | None = None) -> Array:
    """H((a + b) / 2) - (H(a) + H(b)) / 2 of the rows of two matrices of weights, in nats:
    [n_q, n_k], [n_q, n_k] -> [n_q].

    0 to ln 2; NaN where a weight is negative. Source: Lin 1991, section IV, with equal shares.

    Args:
        entropies: H(a) and H(b), [n_q] each, where they are known already.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        own = entropies or (entropy(a), entropy(b))
        gap: Array = entropy((a + b) / 2) - (own[0] + own[1]) / 2
    negative = (a < 0).any(-1) | (b < 0).any(-1)
    return np.where(negative, np.nan, np.maximum(gap, 0))
