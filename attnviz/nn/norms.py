"""Normalisation: which numbers share a mean?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.types import Array


def standardise(x: Array, axes: Sequence[int], eps: float) -> tuple[Array, Array, Array]:
    """(x - mean) / √(variance + eps) over `axes`, with that mean and the inverse deviation.

    x [...] -> [...], and the two statistics.
    The variance is the biased one, Σ(x - mean)² / n. The two statistics keep `axes` with size 1.
    """
    mean = _mean(x, axes)
    centred = x - mean
    inverse = _mean_square(centred, axes)
    inverse += x.dtype.type(eps)
    np.sqrt(inverse, out=inverse)
    np.divide(1, inverse, out=inverse)
    centred *= inverse
    return centred, mean, inverse


def layer_norm(
    x: Array,
    gain: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float = 1e-5,
    axes: Sequence[int] = (-1,),
) -> Array:
    """Each token by its own features: [n_token, d_model] -> [n_token, d_model].

    Source: Ba et al. 2016, equation 4.
    """
    return _affine(standardise(x, axes, eps)[0], gain, bias)


def rms_norm(
    x: Array, gain: Array | None = None, *, eps: float = 1e-6, axes: Sequence[int] = (-1,)
) -> Array:
    """x / √(mean x² + eps), without taking the mean away: [n_token, d_model] -> the same.

    Source: Zhang & Sennrich 2019, equation 4.
    """
    return _affine(x / np.sqrt(_mean_square(x, axes) + x.dtype.type(eps)), gain, None)


def batch_norm(
    x: Array,
    gain: Array | None = None,
    bias: Array | None = None,
    *,
    mean: Array | None = None,
    variance: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Each feature over all tokens of all texts: [n_batch, n_token, d_model] -> the same.

    With `mean` and `variance` [d_model] these (the running statistics of training) are used, as
    in testing; without them those of `x` itself, as in training. Source: Ioffe & Szegedy 2015.
    """
    if mean is None or variance is None:
        return _affine(standardise(x, tuple(range(x.ndim - 1)), eps)[0], gain, bias)
    return _affine((x - mean) / np.sqrt(variance + x.dtype.type(eps)), gain, bias)


def _mean(x: Array, axes: Sequence[int]) -> Array:
    total: Array = np.add.reduce(x, tuple(axes), keepdims=True)
    total *= x.dtype.type(1 / math.prod(x.shape[axis] for axis in axes))
    return total


def _mean_square(x: Array, axes: Sequence[int]) -> Array:
    return _mean(x * x, axes)


def _affine(x: Array, gain: Array | None, bias: Array | None) -> Array:
    """Scale and shift `x` in place."""
    if gain is not None:
        x *= gain
    if bias is not None:
        x += bias
    return x


class Norm(Protocol):
    """[n_token, d_model] -> [n_token, d_model]."""

    def __call__(self, x: Array) -> Array: ...


class LayerNorm(NamedTuple):
    gain: Array | None = None
    bias: Array | None = None
    eps: float = 1e-5

    def __call__(self, x: Array) -> Array:
        return layer_norm(x, self.gain, self.bias, eps=self.eps)


class RMSNorm(NamedTuple):
    gain: Array | None = None
    eps: float = 1e-6

    def __call__(self, x: Array) -> Array:
        return rms_norm(x, self.gain, eps=self.eps)


class AcrossHeads(NamedTuple):
    """A norm over the features of all heads together: x [n_head, n, d] -> [n_head, n, d].

    Source: OLMo Team 2025 (OLMo 2), section 3.3.2.
    """

    norm: Norm
    """Over n_head·d features."""

    def __call__(self, x: Array) -> Array:
        return split_heads(self.norm(merge_heads(x)), x.shape[-3])


class Scale(NamedTuple):
    """A learned factor for each feature, [d_model]. Source: Touvron et al. 2021 (LayerScale)."""

    gain: Array

    def __call__(self, x: Array) -> Array:
        return x * self.gain


class BatchNorm(NamedTuple):
    """With running statistics as in testing, without them as in training."""

    gain: Array | None = None
    bias: Array | None = None
    mean: Array | None = None
    variance: Array | None = None
    eps: float = 1e-5

    def __call__(self, x: Array) -> Array:
        return batch_norm(
            x, self.gain, self.bias, mean=self.mean, variance=self.variance, eps=self.eps
        )
