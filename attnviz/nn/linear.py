"""The linear map, y = x Wᵀ + b."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array
from attnviz.nn.weights import Weight

FEW = 16


def linear(x: Array, weight: Array, bias: Array | None = None, out: Array | None = None) -> Array:
    """[n_token, d_in] -> [n_token, d_out], with weight [d_out, d_in] as in the checkpoints' files.

    Computed as (W xᵀ)ᵀ: BLAS runs that way round up to twice as fast for few tokens, and as the
    result is a transposed view, a chain of linear maps finds its inputs laid out as it needs them.
    `out` [d_out, n_token] is memory that may be used for the result. Leading axes are so many
    more tokens: one large product is faster than several small ones.
    """
    if x.ndim > 2:
        room = None if out is None else out.reshape(len(weight), -1)
        flat = linear(x.reshape(-1, x.shape[-1]), weight, bias, room)
        return flat.reshape(*x.shape[:-1], -1)
    if x.shape[-2] < FEW:
        return _few(x, weight, bias)
    y = np.matmul(weight, x.mT, out=out)
    if bias is not None:
        y += bias[:, None]
    return y.mT


def _few(x: Array, weight: Array, bias: Array | None) -> Array:
    """BLAS multiplies 8 columns in less time than 6; and rows of few numbers are slow to add to,
    so the result is laid out token by token."""
    n_token, d_in = x.shape
    wide = np.zeros((d_in, n_token + -n_token % 8), x.dtype)
    wide[:, :n_token] = x.T
    y = (weight @ wide)[:, :n_token].T
    return np.ascontiguousarray(y) if bias is None else np.add(y, bias, order="C")


class Linear(NamedTuple):
    """A linear map with its weight [d_out, d_in] and bias [d_out]."""

    weight: Weight
    bias: Array | None = None

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        return linear(x, np.asarray(self.weight), self.bias, out)
