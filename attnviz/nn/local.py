"""Attention that is restricted to neighbours, and computed for them only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnviz.nn import masks
from attnviz.nn.scores import scaled_dot
from attnviz.nn.tiled import tiled_attention
from attnviz.nn.types import Array


def local_attention(
    q: Array, k: Array, v: Array, neighbours: int, attend: Callable[..., Array] = tiled_attention
) -> Array:
    """q, k [n_head, n, d_k], v [n_head, n, d_v] -> [n_head, n, d_v]: each query sees itself and
    `neighbours` tokens, half of them on either side.

    Queries go in blocks of as many as there are neighbours, over the keys that any of a block
    sees: so the work grows as n. Source: Vaswani et al. 2017, section 4 (restricted
    self-attention); the blocks: Beltagy et al. 2020, section 3.1.
    """
    n, reach, step = q.shape[-2], neighbours // 2, max(1, neighbours)
    context = np.empty((*q.shape[:-1], v.shape[-1]), np.result_type(q, k, v))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        keys = np.arange(max(0, start - reach), min(rows[-1] + reach + 1, n))
        seen = slice(keys[0], keys[-1] + 1)
        context[..., rows, :] = attend(
            q[..., rows, :],
            k[..., seen, :],
            v[..., seen, :],
            score=scaled_dot,
            visible=masks.band(rows, keys, left=reach, right=reach),
        )
    return context
