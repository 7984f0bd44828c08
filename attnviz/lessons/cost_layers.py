"""The layers of the lesson `cost`: put together, counted, timed, and looked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.cost import LAYERS, Sizes, growth, seen_inputs
from attnviz.analysis.counting import count_products
from attnviz.analysis.timing import least_times
from attnviz.nn.attention import attention
from attnviz.nn.convolution import Convolution, SeparableConvolution
from attnviz.nn.linear import Linear
from attnviz.nn.local import local_attention
from attnviz.nn.recurrent import Recurrent
from attnviz.nn.scores import scaled_dot
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array

SMALL = Sizes(n=96, d=16, k=3, r=8)
"""Sizes at which multiplications are counted."""
TIMED = SMALL._replace(d=4)
SLOW = np.longdouble
"""What is timed: arithmetic so slow that calls and fresh memory count for little, and that no
library shares out among processors, which others may be using."""

LENGTHS: Mapping[str, Sequence[int]] = {
    "self-attention": (64, 90, 128, 181),
    "restricted": (64, 128, 256),
    "recurrent": (64, 128, 256),
    "contiguous": (2048, 4096, 8192),
    "dilated": (2048, 4096, 8192),
    "separable": (2048, 4096, 8192),
}
"""Numbers of tokens that take about as long, for each layer."""


class Growth(NamedTuple):
    """Exponents: how a layer's cost grows with n and with d."""

    said: tuple[float, float]
    """By table 1."""
    counted: tuple[float, float]
    """Of the multiplications that were counted."""
    factor: float
    """Counted multiplications for each of table 1."""
    time: float
    """Of the time that it took, with n."""


def parts(name: str, sizes: Sizes, layer: int = 0) -> tuple[Array, ...]:
    """The seeded weights of a layer; attention without projections has none."""
    d, k = sizes.d, sizes.k
    shapes: Mapping[str, tuple[tuple[int, ...], ...]] = {
        "recurrent": ((d, d), (d, d), (d,)),
        "contiguous": ((k, d, d), (d,)),
        "dilated": ((k, d, d), (d,)),
        "separable": ((k, d), (d, d), (d,)),
    }
    return tuple(
        normal(shape, name, layer, place) / np.float32(np.sqrt(d))
        for place, shape in enumerate(shapes.get(name, ()))
    )


def function(name: str, sizes: Sizes, layer: int = 0) -> Callable[..., Array]:
    """x [..., n, d] and the weights -> [..., n, d]. In layer l the dilated one has its tokens k^l
    apart."""

    def heads(attend: Callable[[Array], Array]) -> Callable[..., Array]:
        return lambda x: attend(x[..., None, :, :])[..., 0, :, :]

    kinds: Mapping[str, Callable[..., Array]] = {
        "self-attention": heads(lambda x: attention(x, x, x, score=scaled_dot)),
        "restricted": heads(lambda x: local_attention(x, x, x, sizes.r)),
        "recurrent": lambda x, *weights: Recurrent(*weights)(x),
        "contiguous": lambda x, *weights: Convolution(*weights)(x),
        "dilated": lambda x, weight, bias: Convolution(weight, bias, sizes.k**layer)(x),
        "separable": lambda x, *weights: SeparableConvolution(*weights)(x),
    }
    return kinds[name]


def measure(name: str) -> Growth:
    """How a layer's cost grows, as said, as counted and as timed."""
    longer = [SMALL._replace(n=SMALL.n * 2**i) for i in range(3)]
    wider = [SMALL._replace(d=SMALL.d * 2**i) for i in range(3)]
    said, counted = [], []
    for many in (longer, wider):
        axis = np.array([sizes.n if many is longer else sizes.d for sizes in many])
        said.append(growth(axis, np.array([LAYERS[name].operations(s) for s in many])))
        counted.append(growth(axis, np.array([count(name, s) for s in many])))
    factor = count(name, longer[-1]) / LAYERS[name].operations(longer[-1])
    return Growth((said[0], said[1]), (counted[0], counted[1]), factor, _time_growth(name))


def count(name: str, sizes: Sizes) -> int:
    """The multiplications of a layer, counted as it runs."""
    x = normal((sizes.n, sizes.d), "x")
    return count_products(function(name, sizes), x, *parts(name, sizes))


def count_attention(n: int, d: int) -> tuple[int, int]:
    """The multiplications of four projections d -> d, and of scores and weighted sums."""
    x = normal((n, d), "x")
    weights = [normal((d, d), "weight", place) for place in range(4)]
    counts = [count_products(lambda x, weight: Linear(weight)(x), x, each) for each in weights]
    return sum(counts), count("self-attention", SMALL._replace(n=n, d=d))


def seen(name: str, sizes: Sizes, layers: int) -> int:
    """How many of n inputs the middle one of the outputs behind so many layers depends on."""

    def stack(x: Array) -> Array:
        for layer in range(layers):
            weights = [np.asarray(part, np.float64) for part in parts(name, sizes, layer)]
            x = function(name, sizes, layer)(x, *weights)
        return x

    return seen_inputs(stack, sizes.n, sizes.d)


def _time_growth(name: str) -> float:
    lengths, run = np.array(LENGTHS[name]), function(name, TIMED)
    weights = [part.astype(SLOW) for part in parts(name, TIMED)]
    texts = [normal((n, TIMED.d), "x").astype(SLOW) for n in lengths]
    return growth(lengths, least_times(lambda x: run(x, *weights), texts))
