"""Which numbers of the input change an output: the gradient, by central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnviz.nn.types import Array

STEP = 1e-4
"""In float64 the error of a central difference is of the order STEP²."""

BATCH = 128
"""Numbers that are shifted at a time."""


def gradient(function: Callable[[Array], Array], x: Array, step: float = STEP) -> Array:
    """∂function/∂x at x, of any shape; `function` maps a batch [n, *shape] to numbers [n].

    Source: Simonyan et al. 2014, section 3, for the gradient as a saliency map; here it is taken
    by (f(x + h) - f(x - h)) / 2h for each number, which needs no backward pass.
    """
    x = np.asarray(x, np.float64)
    slopes = np.empty(x.size)
    for start in range(0, x.size, BATCH):
        places = np.arange(start, min(start + BATCH, x.size))
        shifts = np.zeros((len(places), x.size))
        shifts[np.arange(len(places)), places] = step
        shifts = shifts.reshape(-1, *x.shape)
        up, down = np.split(function(np.concatenate([x + shifts, x - shifts])), 2)
        slopes[places] = (up - down) / (2 * step)
    return slopes.reshape(x.shape)
