"""Convolutions over the tokens of a text: context from fixed places around each token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array

Product = Callable[[Array, Array], Array]
"""`np.matmul`, `np.multiply`, or one of these that counts."""


class Convolution(NamedTuple):
    """[n_token, d_in] -> [⌈n_token / stride⌉, d_out]: y_i = b + Σ_j W_j x_{i·stride + (j -
    (k - 1)/2)·dilation}.

    Beyond the ends there are zeros. Any leading axes. Source: LeCun et al. 1989; dilated:
    Yu & Koltun 2016.
    """

    weight: Array
    """[k, d_out, d_in], k odd"""
    bias: Array
    """[d_out]"""
    dilation: int = 1
    stride: int = 1

    def __call__(self, x: Array, matmul: Product = np.matmul) -> Array:
        n_out = -(-x.shape[-2] // self.stride)
        y = np.zeros((*x.shape[:-2], n_out, len(self.bias)), x.dtype) + self.bias
        for part, shifted in zip(self.weight, _shifted(x, len(self.weight), self.dilation),
                                 strict=True):  # fmt: skip
            y += matmul(shifted[..., :: self.stride, :], part.T)
        return y


class SeparableConvolution(NamedTuple):
    """[n_token, d_in] -> [n_token, d_out]: each feature by itself over k tokens, then all features
    of each token by itself. Source: Chollet 2017 (Xception); Kaiser et al. 2018 for texts.
    """

    depth: Array
    """[k, d_in], k odd"""
    point: Array
    """[d_out, d_in]"""
    bias: Array
    """[d_out]"""
    dilation: int = 1

    def __call__(
        self, x: Array, matmul: Product = np.matmul, multiply: Product = np.multiply
    ) -> Array:
        mixed = np.zeros(x.shape, x.dtype)
        for part, shifted in zip(self.depth, _shifted(x, len(self.depth), self.dilation),
                                 strict=True):  # fmt: skip
            mixed += multiply(shifted, part)
        return np.asarray(matmul(mixed, self.point.T) + self.bias)


def _shifted(x: Array, k: int, dilation: int) -> Iterator[Array]:
    """x as each of the k taps meets it: [n_token, d_in] each."""
    if k % 2 == 0 or dilation < 1:
        raise AttnvizError(
            f"a kernel of {k} tokens, {dilation} apart, has no token in its middle",
            "take an odd kernel, and a dilation of at least 1",
        )
    n_token, reach = x.shape[-2], (k - 1) // 2 * dilation
    ends = [(0, 0)] * (x.ndim - 2) + [(reach, reach), (0, 0)]
    wide = np.pad(x, ends)
    for tap in range(k):
        yield wide[..., tap * dilation : tap * dilation + n_token, :]
