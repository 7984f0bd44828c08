"""Which numbers of the input change an output: the gradient, by central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnviz.nn.types import Array

STEP = 1e-4
"""In float64 the error of a central difference is of the order STEP²."""


def gradient(function: Callable[[Array], Array], x: Array, step: float = STEP) -> Array:
    """∂function/∂x at x, of any shape; `function` maps a batch [n, *shape] to numbers [n].

    Source: Simonyan et al. 2014, section 3, for the gradient as a saliency map; here it is taken
    by (f(x + h) - f(x - h)) / 2h for each number, which needs no backward pass.
    """
    x = np.asarray(x, np.float64)
    shifts = step * np.eye(x.size).reshape(x.size, *x.shape)
    both = function(np.concatenate([x + shifts, x - shifts]))
    slopes: Array = (both[: x.size] - both[x.size :]) / (2 * step)
    return slopes.reshape(x.shape)
