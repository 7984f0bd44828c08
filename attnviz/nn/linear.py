"""The linear map, y = x Wᵀ + b."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from attnviz.nn.threads import Team, in_team, parts_of
from attnviz.nn.types import Array
from attnviz.nn.weights import Weight

FEW = 64
"""Tokens up to which BLAS is faster with the product the other way round."""

FEWEST = 8
"""Tokens with which a product takes as long as with one: so long the weight is read."""


def linear(x: Array, weight: Array, bias: Array | None = None, out: Array | None = None) -> Array:
    """[n_token, d_in] -> [n_token, d_out], with weight [d_out, d_in] as in the checkpoints' files.

    Fastest with a weight that lies in memory as [d_in, d_out], as `weights.laid_out` lays it; of
    another one a few tokens are computed as (W xᵀ)ᵀ, in up to half the time. `out` [n_token, d_out]
    is memory for the result. Leading axes are so many more tokens: one large product is faster
    than several small ones. A very large one is shared by all cores.
    """
    if x.ndim > 2:
        y = linear(x.reshape(-1, x.shape[-1]), weight, bias).reshape(*x.shape[:-1], -1)
        if out is None:
            return y
        out[...] = y
        return out
    n_part = parts_of(len(weight), weight.size * max(len(x), FEWEST))
    if n_part > 1:
        y = _by_columns(x, weight, n_part, out)
    elif len(x) < FEW and weight.flags.c_contiguous:
        y = (weight @ x.T).T
        if out is not None:
            out[...] = y
            y = out
    else:
        y = np.matmul(x, weight.T, out=out)
    if bias is not None:
        y += bias
    return y


def _by_columns(x: Array, weight: Array, n_part: int, out: Array | None) -> Array:
    """x Wᵀ, some columns on each core."""
    if out is None:
        out = np.empty((len(x), len(weight)), np.result_type(x, weight))

    def multiply(number: int, team: Team) -> None:
        columns = team.part(number, len(weight))
        np.matmul(x, weight[columns].T, out=out[:, columns])

    in_team(n_part, multiply)
    return out


class Linear(NamedTuple):
    """A linear map with its weight [d_out, d_in] and bias [d_out]."""

    weight: Weight
    bias: Array | None = None

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        return linear(x, np.asarray(self.weight), self.bias, out)


class Clipped(NamedTuple):
    """A linear map whose results stay within ±limit (`clip_qkv` of MPT and OLMo).
    Source: MosaicML 2023, `llm-foundry`."""

    linear: Projection
    limit: float

    @property
    def weight(self) -> Weight:
        """[d_out, d_in]"""
        return self.linear.weight

    @property
    def bias(self) -> Array | None:
        """[d_out]"""
        return self.linear.bias

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        y = self.linear(x, out)
        clipped: Array = np.clip(y, -self.limit, self.limit, out=y)
        return clipped


class Projection(Protocol):
    """A linear map, or what stands for one: [n_token, d_in] -> [n_token, d_out]."""

    @property
    def weight(self) -> Weight:
        """[d_out, d_in], or a matrix of this shape."""
        ...

    @property
    def bias(self) -> Array | None:
        """[d_out]"""
        ...

    def __call__(self, x: Array, out: Array | None = None) -> Array: ...
