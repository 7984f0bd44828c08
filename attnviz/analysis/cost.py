"""What a layer that gives each token its context costs, by formula and as counted while it runs,
and how far it reaches.

n tokens of d features, kernels of k tokens, r neighbours.
Source: Vaswani et al. 2017, section 4, table 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attnviz.nn.convolution import Convolution, SeparableConvolution
from attnviz.nn.local import local_attention
from attnviz.nn.recurrent import Recurrent
from attnviz.nn.scores import scaled_dot
from attnviz.nn.seeded import normal
from attnviz.nn.tiled import tiled_attention
from attnviz.nn.types import Array


class Sizes(NamedTuple):
    n: int
    d: int
    k: int
    r: int


class Layer(NamedTuple):
    """A line of the table, as functions of the sizes."""

    order: str
    """The multiplications of a layer, up to a constant factor."""
    operations: Callable[[Sizes], int]
    """What `order` comes to."""
    steps: Callable[[Sizes], int]
    """How many of them must wait for one another."""
    reach: Callable[[Sizes, int], int] | None
    """How many tokens one output depends on, after so many layers, in an endless text; None for
    all that came before."""

    def path(self, sizes: Sizes) -> int:
        """The longest path between two tokens: the fewest layers after which one output depends
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


class Products:
    """Operations for a layer to compute with, and how many products of two numbers they took.

    A layer gets `matmul`, `multiply` or `attention` in the place of NumPy's and ours.
    """

    def __init__(self) -> None:
        self.count = 0

    def matmul(self, a: Array, b: Array) -> Array:
        """[…, n, m], [m, p] -> […, n, p], in n·m·p products."""
        result = np.asarray(a @ b)
        self.count += result.size * a.shape[-1]
        return result

    def multiply(self, a: Array, b: Array) -> Array:
        """Number by number."""
        result = np.asarray(a * b)
        self.count += result.size
        return result

    def attention(self, q: Array, k: Array, v: Array, **options: Any) -> Array:
        """[…, n_q, d_k], […, n_k, d_k], […, n_k, d_v] -> […, n_q, d_v], in n_q·n_k·(d_k + d_v)
        products: the scores, and the weighted sums."""
        self.count += math.prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])
        return tiled_attention(q, k, v, **options)


def layer_weights(name: str, sizes: Sizes, depth: int = 0) -> tuple[Array, ...]:
    """The seeded weights of the layer number `depth`, [d, d] each or as the layer has them;
    attention without projections has none."""
    d, k = sizes.d, sizes.k
    shapes: Mapping[str, tuple[tuple[int, ...], ...]] = {
        "recurrent": ((d, d), (d, d), (d,)),
        "contiguous": ((k, d, d), (d,)),
        "dilated": ((k, d, d), (d,)),
        "separable": ((k, d), (d, d), (d,)),
    }
    return tuple(
        normal(shape, name, depth, i) / np.float32(np.sqrt(d))
        for i, shape in enumerate(shapes.get(name, ()))
    )


def run_layer(
    name: str,
    sizes: Sizes,
    x: Array,
    weights: tuple[Array, ...],
    depth: int = 0,
    products: Products | None = None,
) -> Array:
    """x […, n, d] and the layer's weights -> […, n, d], computed with `products`."""
    products = products or Products()
    matmul, multiply, head = products.matmul, products.multiply, x[..., None, :, :]
    match name:
        case "self-attention":
            return products.attention(head, head, head, score=scaled_dot)[..., 0, :, :]
        case "restricted":
            return local_attention(head, head, head, sizes.r, products.attention)[..., 0, :, :]
        case "recurrent":
            return Recurrent(*weights)(x, matmul)
        case "separable":
            depthwise, pointwise, bias = weights
            return SeparableConvolution(depthwise, pointwise, bias)(x, matmul, multiply)
        case _:
            kernel, bias = weights
            dilation = sizes.k**depth if name == "dilated" else 1
            return Convolution(kernel, bias, dilation)(x, matmul)


def count_products(name: str, sizes: Sizes) -> int:
    """The products of two numbers that a layer takes for a text, counted as it runs."""
    products = Products()
    run_layer(name, sizes, normal((sizes.n, sizes.d), "x"), layer_weights(name, sizes), 0, products)
    return products.count


def growth(sizes: Sequence[float] | Array, costs: Sequence[float] | Array) -> float:
    """The exponent e of cost ~ size^e: the slope of the straight line through the logarithms that
    leaves the least squares; [n_size], [n_size] -> a number."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def seen_inputs(layer: Callable[[Array], Array], n: int, d: int) -> int:
    """How many of n inputs the output in the middle changes with, measured by changing each one.

    `layer` maps [n_batch, n, d] to [n_batch, n, d'], each of the batch by itself.
    """
    x = normal((n, d), "seen").astype(np.float64)
    texts = np.repeat(x[None], n + 1, 0)
    texts[np.arange(n), np.arange(n)] += 1
    middle = layer(texts)[:, n // 2]
    return int((middle[:n] != middle[n]).any(-1).sum())
