"""How far two heads' rows are apart."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.heads import entropy
from attnviz.nn.types import Array

MOST = float(np.log(2))
"""The divergence of two rows that share no key."""


def jensen_shannon(a: Array, b: Array, entropies: tuple[Array, Array] | None = None) -> Array:
    """H((a + b) / 2) - (H(a) + H(b)) / 2 of the rows of two matrices of weights, in nats:
    [n_q, n_k] twice -> [n_q].

    0 to ln 2; NaN where a weight is negative. Source: Lin 1991, with equal shares.

    Args:
        entropies: of the rows of both, where they are known already.
    """
    with np.errstate(invalid="ignore"):
        own = entropies or (entropy(a), entropy(b))
        gap: Array = entropy((a + b) / 2) - (own[0] + own[1]) / 2
    negative = (a < 0).any(-1) | (b < 0).any(-1)
    return np.where(negative, np.nan, np.maximum(gap, 0))
