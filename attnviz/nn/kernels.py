"""Kernels: how much does a value count whose key lies a distance away from the query?

All of them: distances in units of the kernel's width -> weights that need not sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnviz.nn.types import Array
from attnviz.registry import Entry, Registry

Kernel = Callable[[Array], Array]

KERNELS: Registry[Entry] = Registry("kernel", Entry)


@KERNELS.add
def boxcar(u: Array) -> Array:
    """1 within one width, else 0.

    Distances [...] -> [...].
    """
    return np.where(np.abs(u) <= 1, 1.0, 0.0)


@KERNELS.add
def triangle(u: Array) -> Array:
    """1 at the query, falling in a line to 0 at one width.

    Distances [...] -> [...].
    """
    return np.asarray(np.maximum(0, 1 - np.abs(u)))


@KERNELS.add
def gaussian(u: Array) -> Array:
    """exp(-u²/2): never 0.

    Distances [...] -> [...].
    """
    return np.asarray(np.exp(-u * u / 2))


def constant(u: Array) -> Array:
    """1 at any distance: average pooling.

    Distances [...] -> [...].
    """
    return np.ones_like(u)


def regression_weights(kernel: Kernel, q: Array, k: Array, width: float) -> Array:
    """q [n_q], k [n_k] -> [n_q, n_k]: each key's share of a query's answer.

    The rows sum to 1; a query with no key in reach of the kernel has a row of zeros.
    Source: Nadaraya 1964, Watson 1964.
    """
    weights = kernel((q[:, None] - k) / width)
    total = weights.sum(-1, keepdims=True)
    return np.asarray(weights / np.where(total == 0, 1, total))
