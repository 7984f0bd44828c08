"""Scoring functions: how well does each key answer each query?

All of them: q [n_head, n_q, d_q], k [n_head, n_k, d_k] -> [n_head, n_q, n_k], times `scale`.
A temperature T is the scale 1/T. `out` is memory that may be used for the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.registry import Entry, Registry

Score = Callable[..., Array]
"""`score(q, k, scale=number)`; without `scale` the function's own default holds."""

SCORES: Registry[Entry] = Registry("score", Entry)

BLOCK_BYTES = 1 << 24


@SCORES.add
def additive(
    q: Array,
    k: Array,
    w_q: Array,
    w_k: Array,
    w_v: Array,
    scale: float = 1.0,
    out: Array | None = None,
) -> Array:
    """w_v · tanh(W_q q + W_k k), for queries and keys of different widths.

    Shapes: w_q [d_hidden, d_q], w_k [d_hidden, d_k], w_v [d_hidden].
    Source: Bahdanau et al. 2015, appendix A.1.2.
    """
    queries, keys = q @ w_q.mT, k @ w_k.mT
    shape = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    n_q, n_k = queries.shape[-2], keys.shape[-2]
    scores = np.empty((*shape, n_q, n_k), np.result_type(queries, keys, w_v))
    # tanh needs [n_q, n_k, d_hidden] at once: go over the queries in blocks
    row = math.prod(shape) * n_k * len(w_v) * scores.itemsize
    step = max(1, BLOCK_BYTES // max(1, row))
    for start in range(0, n_q, step):
        rows = slice(start, start + step)
        hidden = queries[..., rows, None, :] + keys[..., None, :, :]
        scores[..., rows, :] = np.tanh(hidden, out=hidden) @ w_v
    return _scaled(scores, scale)


@SCORES.add
def dot(q: Array, k: Array, scale: float = 1.0, out: Array | None = None) -> Array:
    """q · k. Source: Luong et al. 2015, section 3.1."""
    if q.shape[-1] != k.shape[-1]:
        raise AttnvizError(
            f"the dot product needs queries and keys of one width: "
            f"q has d_k = {q.shape[-1]}, k has d_k = {k.shape[-1]}",
            "the scores `additive` and `general` take different widths",
        )
    # scaling the queries costs n_q·d_k products, scaling the scores n_q·n_k
    return np.matmul(_scaled(q, scale), k.mT, out=out)


@SCORES.add
def scaled_dot(q: Array, k: Array, scale: float | None = None, out: Array | None = None) -> Array:
    """q · k / √d_k. Source: Vaswani et al. 2017, section 3.2.1."""
    return dot(q, k, 1 / math.sqrt(k.shape[-1]) if scale is None else scale, out)


@SCORES.add
def general(q: Array, k: Array, w: Array, scale: float = 1.0, out: Array | None = None) -> Array:
    """q W k, with w [d_q, d_k]. Source: Luong et al. 2015, section 3.1 ("general")."""
    return dot(q @ w, k, scale, out)


@SCORES.add
def cosine(q: Array, k: Array, scale: float = 1.0, out: Array | None = None) -> Array:
    """q · k / (‖q‖ ‖k‖), in [-1, 1] times scale; 0 for a zero vector.

    Source: Graves et al. 2014 (Neural Turing Machines), section 3.3.1, with β = scale.
    """
    return dot(_unit(q), _unit(k), scale, out)


@SCORES.add
def gaussian(
    q: Array, k: Array, scale: float = 1.0, out: Array | None = None, *, sigma: float = 1.0
) -> Array:
    """-‖q - k‖² / 2σ²; its softmax is the Nadaraya-Watson weight of a Gaussian kernel.

    Source: Nadaraya 1964, Watson 1964; as attention in Zhang et al., Dive into Deep Learning,
    section 11.2.
    """
    squares = (q * q).sum(-1)[..., :, None] + (k * k).sum(-1)[..., None, :]
    # a square cannot be negative: rounding may make it so where q is k
    distance = np.maximum(squares - 2 * dot(q, k), 0)
    return _scaled(distance, -scale / (2 * sigma * sigma))


def parameters(name: str, d_q: int, d_k: int, n_hidden: int) -> dict[str, tuple[int, ...]]:
    """The learned arrays of the score `name`, with their shapes."""
    if name == "additive":
        return {"w_q": (n_hidden, d_q), "w_k": (n_hidden, d_k), "w_v": (n_hidden,)}
    if name == "general":
        return {"w": (d_q, d_k)}
    return {}


def _scaled(x: Array, scale: float) -> Array:
    return x if scale == 1 else x * x.dtype.type(scale)


def _unit(x: Array) -> Array:
    norm = np.sqrt((x * x).sum(-1, keepdims=True))
    return x / np.where(norm == 0, 1, norm)
