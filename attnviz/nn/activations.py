"""Activation functions, element by element: x [...] -> [...].

An activation is one function, with its entry:

    @ACTIVATIONS.add(formula="x²")
    def square(x):
        return x * x

It may take `out` too: an array for the result, which may be `x` itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attnviz.nn.types import Array
from attnviz.registry import Entry, Registry

Activation = Callable[..., Array]
"""`activation(x, out=array)`"""


@dataclass(frozen=True, eq=False, repr=False)
class ActivationEntry(Entry):
    """An activation, and what it computes."""

    formula: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "formula", self.formula or f"{self.name}(x)")

    @property
    def activation(self) -> Activation:
        """The function, so that it can be given `out`."""
        if self.takes("out"):
            return self.function
        return lambda x, out=None: self.function(x)


ACTIVATIONS: Registry[ActivationEntry] = Registry("activation", ActivationEntry)

BLOCK = 1 << 16
"""Elements that stay in a processor's second cache while several operations pass over them."""


@ACTIVATIONS.add(formula="max(0, x)")
def relu(x: Array, out: Array | None = None) -> Array:
    """The rectified linear unit. Source: Nair & Hinton 2010.

    x [...] -> [...].
    """
    return np.maximum(x, 0, out=out)


@ACTIVATIONS.add(formula="x Φ(x)")
def gelu(x: Array, out: Array | None = None) -> Array:
    """The Gaussian error linear unit, with the exact normal distribution function Φ.

    x [...] -> [...].
    In float64 by the C library's erf; in float32 to 6e-7 (2.5e-7 of the value for x > 0).
    Source: Hendrycks & Gimpel 2016.
    """
    if x.dtype == np.float64:
        exact: Array = np.multiply(x, 0.5 * (1 + _erf(x / math.sqrt(2))), out=out)
        return exact
    # x Φ(x) = x / (1 + exp(-x P(x²))): P was fitted to the log odds of Φ, by least squares
    # reweighted towards the smallest largest error of x Φ(x) on [0, 6]; the error is 7e-8
    return _logistic(x, GELU_LOG_ODDS, out)


@ACTIVATIONS.add(formula="x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))")
def gelu_tanh(x: Array, out: Array | None = None) -> Array:
    """An approximation of `gelu`, which GPT-2 uses. Source: Hendrycks & Gimpel 2016.

    x [...] -> [...].
    """
    # (1 + tanh z) / 2 is the logistic function of 2z
    c = 2 * math.sqrt(2 / math.pi)
    return _logistic(x, (c * 0.044715, c), out)


@ACTIVATIONS.add(formula="x σ(x)")
def silu(x: Array, out: Array | None = None) -> Array:
    """The sigmoid linear unit, also called swish. Source: Elfwing et al. 2018.

    x [...] -> [...].
    """
    return _logistic(x, (1.0,), out)


@ACTIVATIONS.add(formula="x σ(1.702 x)")
def quick_gelu(x: Array, out: Array | None = None) -> Array:
    """A rougher approximation of `gelu`, which CLIP uses. Source: Hendrycks & Gimpel 2016.

    x [...] -> [...].
    """
    return _logistic(x, (1.702,), out)


@ACTIVATIONS.add(formula="tanh x")
def tanh(x: Array, out: Array | None = None) -> Array:
    """The hyperbolic tangent.

    x [...] -> [...].
    """
    return np.tanh(x, out=out)


@ACTIVATIONS.add(formula="1 / (1 + exp(-x))")
def sigmoid(x: Array, out: Array | None = None) -> Array:
    """The logistic function σ.

    x [...] -> [...].
    """
    with np.errstate(over="ignore"):
        y: Array = np.divide(1, 1 + np.exp(-x), out=out)
    return y


def clamped_swish(x: Array, out: Array | None = None, *, slope: float, limit: float) -> Array:
    """y σ(slope · y) with y = min(x, limit). Source: OpenAI 2025, gpt-oss.

    x [...] -> [...].
    """
    y = np.minimum(x, x.dtype.type(limit), out=out)
    z: Array = np.multiply(y, sigmoid(x.dtype.type(slope) * y), out=out)
    return z


def clamped_plus_one(x: Array, out: Array | None = None, *, limit: float) -> Array:
    """x between ±limit, plus 1: a gate that is closed still lets something through.

    x [...] -> [...]. Source: OpenAI 2025, gpt-oss.
    """
    y: Array = np.add(np.clip(x, -limit, limit, out=out), x.dtype.type(1), out=out)
    return y


@ACTIVATIONS.add(formula="x")
def identity(x: Array, out: Array | None = None) -> Array:
    """No activation: the net stays linear.

    x [...] -> [...].
    """
    return x if out is None else np.positive(x, out=out)


GELU_LOG_ODDS = (
    3.61123146e-09,
    -2.66892757e-07,
    7.93821791e-06,
    -0.00011048031,
    -6.62600125e-05,
    0.0726685671,
    1.59576843,
)


def _logistic(x: Array, coefficients: tuple[float, ...], out: Array | None) -> Array:
    """x / (1 + exp(-x P(x²))), with the coefficients of P from the highest power down."""
    y = np.empty_like(x) if out is None else out
    flat_x, flat_y = x.ravel("K"), y.ravel("K")  # in the order of memory
    if y.strides != x.strides or not np.may_share_memory(flat_y, y):
        y[...] = _logistic(x.copy("C"), coefficients, None)
        return y
    scratch = np.empty((2, min(BLOCK, max(1, x.size))), x.dtype)
    with np.errstate(over="ignore"):  # exp may reach infinity: x / infinity is the right zero
        for start in range(0, x.size, BLOCK):
            block = flat_x[start : start + BLOCK]
            square, p = scratch[:, : len(block)]
            if len(coefficients) == 1:
                np.multiply(block, -coefficients[0], out=p)
            else:
                np.multiply(block, block, out=square)
                np.multiply(square, -coefficients[0], out=p)
                for c in coefficients[1:-1]:
                    p -= c
                    p *= square
                p -= coefficients[-1]
                p *= block
            np.exp(p, out=p)
            p += 1
            np.divide(block, p, out=flat_y[start : start + BLOCK])
    return y


def _erf(x: Array) -> Array:
    values: Array = np.asarray(np.frompyfunc(math.erf, 1, 1)(x), np.float64)
    return values
