"""What a layer that gives each token its context costs, and how far it reaches.

n tokens of d features, kernels of k tokens, r neighbours.
Source: Vaswani et al. 2017, section 4, table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.nn.seeded import normal
from attnviz.nn.types import Array


class Sizes(NamedTuple):
    n: int
    d: int
    k: int
    r: int


class Layer(NamedTuple):
    """A line of the table, as functions of the sizes."""

    order: str
    """The multiplications of a layer, but for a factor that no size changes."""
    operations: Callable[[Sizes], int]
    """What `order` comes to."""
    steps: Callable[[Sizes], int]
    """How many of them must wait for one another."""
    reach: Callable[[Sizes, int], int] | None
    """How many tokens one output depends on, behind so many layers, in an endless text; None for
    all that came before."""

    def path(self, sizes: Sizes) -> int:
        """The longest path between two tokens: the fewest layers behind which one output depends
        on n of them; where they are handed on from each to the next, n."""
        if self.reach is None:
            return sizes.n
        layers = 1
        while self.reach(sizes, layers) < sizes.n:
            layers += 1
        return layers


def _everything(sizes: Sizes, layers: int) -> int:
    return sizes.n


def _one_step(sizes: Sizes) -> int:
    return 1


LAYERS: Mapping[str, Layer] = {
    "self-attention": Layer("n²·d", lambda s: s.n**2 * s.d, _one_step, _everything),
    "restricted": Layer(
        "r·n·d", lambda s: s.r * s.n * s.d, _one_step, lambda s, layers: layers * s.r + 1
    ),
    "recurrent": Layer("n·d²", lambda s: s.n * s.d**2, lambda s: s.n, None),
    "contiguous": Layer(
        "k·n·d²",
        lambda s: s.k * s.n * s.d**2,
        _one_step,
        lambda s, layers: layers * (s.k - 1) + 1,
    ),
    "dilated": Layer(
        "k·n·d²", lambda s: s.k * s.n * s.d**2, _one_step, lambda s, layers: s.k**layers
    ),
    "separable": Layer(
        "k·n·d + n·d²",
        lambda s: s.k * s.n * s.d + s.n * s.d**2,
        _one_step,
        lambda s, layers: layers * (s.k - 1) + 1,
    ),
}
"""The last three are convolutions. Dilated: the kernel of layer l has its tokens k^l apart."""


def growth(sizes: Array, costs: Array) -> float:
    """The exponent e of cost ~ size^e: the slope of the straight line through the logarithms that
    leaves the least squares."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def seen_inputs(layer: Callable[[Array], Array], n: int, d: int) -> int:
    """How many of n inputs the output in the middle changes with, measured by changing each.

    `layer` maps [n_batch, n, d] to [n_batch, n, d'], each of the batch by itself.
    """
    x = normal((n, d), "seen").astype(np.float64)
    texts = np.repeat(x[None], n + 1, 0)
    texts[np.arange(n), np.arange(n)] += 1
    middle = layer(texts)[:, n // 2]
    return int((middle[:n] != middle[n]).any(-1).sum())
