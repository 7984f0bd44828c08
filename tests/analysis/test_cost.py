"""Table 1 of Vaswani et al. 2017 for sizes that were worked out by hand, and as running layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.analysis.cost import (
    LAYERS,
    Products,
    Sizes,
    growth,
    layer_weights,
    run_layer,
    seen_inputs,
)
from attnviz.nn.attention import attend
from attnviz.nn.convolution import Convolution, SeparableConvolution
from attnviz.nn.local import local_attention
from attnviz.nn.recurrent import Recurrent
from attnviz.nn.scores import scaled_dot

SIZES = Sizes(n=512, d=512, k=3, r=64)


@pytest.mark.parametrize(
    ("name", "operations", "steps", "path"),
    [
        ("self-attention", 134_217_728, 1, 1),
        ("recurrent", 134_217_728, 512, 512),
        ("contiguous", 402_653_184, 1, 256),
        ("dilated", 402_653_184, 1, 6),
        ("restricted", 16_777_216, 1, 8),
        ("separable", 135_004_160, 1, 256),
    ],
)
def test_the_worked_example(name, operations, steps, path):
    layer = LAYERS[name]
    assert (layer.operations(SIZES), layer.steps(SIZES), layer.path(SIZES)) == (
        operations,
        steps,
        path,
    )


def test_two_layers_of_three_see_five_tokens():
    """And with dilations 1, 3, 9, twenty-seven."""
    assert LAYERS["contiguous"].reach(SIZES, 2) == 5
    assert [LAYERS["dilated"].reach(SIZES, layers) for layers in (1, 2, 3)] == [3, 9, 27]


@given(
    n=st.integers(2, 3000), k=st.sampled_from([3, 5, 7]), r=st.integers(1, 50).map(lambda x: 2 * x)
)
def test_paths_in_closed_form(n, k, r):
    sizes = Sizes(n, 8, k, r)
    assert LAYERS["contiguous"].path(sizes) == -(-(n - 1) // (k - 1))
    assert LAYERS["restricted"].path(sizes) == -(-(n - 1) // r)
    layers = LAYERS["dilated"].path(sizes)
    assert k ** (layers - 1) < max(n, 2) <= k**layers


def test_separable_with_the_whole_text_is_attention_and_a_feed_forward_net():
    sizes = SIZES._replace(k=SIZES.n)
    n, d = sizes.n, sizes.d
    assert LAYERS["separable"].operations(sizes) == n**2 * d + n * d**2


@given(st.floats(-3, 3), st.floats(0.1, 9))
def test_growth_of_a_power(exponent, factor):
    sizes = np.array([3, 5, 11, 40])
    assert growth(sizes, factor * sizes**exponent) == pytest.approx(exponent, abs=1e-9)


def test_inputs_that_are_seen():
    assert seen_inputs(lambda x: x, 9, 2) == 1
    assert seen_inputs(lambda x: np.cumsum(x, 1), 9, 2) == 5
    assert seen_inputs(lambda x: x + x.mean(1, keepdims=True), 9, 2) == 9
    assert seen_inputs(np.zeros_like, 9, 2) == 0


X = np.ones((23, 5))


@pytest.mark.parametrize(
    ("compute", "count"),
    [
        (lambda p: p.matmul(X, np.ones((5, 7))), 23 * 5 * 7),
        (lambda p: p.matmul(np.ones((7, 23)), X), 7 * 23 * 5),
        (lambda p: p.matmul(np.ones((4, 7, 23)), X), 4 * 7 * 23 * 5),
        (lambda p: p.multiply(X[2:4], np.ones(5)), 10),
        (lambda p: Recurrent(np.ones((7, 5)), np.ones((7, 7)), np.ones(7))(X, p.matmul),
         23 * (35 + 49)),
        (lambda p: Convolution(np.ones((3, 7, 5)), np.ones(7))(X, p.matmul), 3 * 23 * 35),
        (lambda p: SeparableConvolution(np.ones((3, 5)), np.ones((7, 5)), np.ones(7))(
            X, p.matmul, p.multiply), 3 * 23 * 5 + 23 * 35),
        (lambda p: p.attention(np.ones((2, 17, 3)), np.ones((2, 19, 3)), np.ones((2, 19, 11)),
                               score=scaled_dot), 2 * 17 * 19 * (3 + 11)),
        (lambda p: local_attention(*np.ones((3, 2, 12, 5)), 4, p.attention),
         2 * (4 * 6 + 4 * 8 + 4 * 6) * 2 * 5),
    ],
)  # fmt: skip
def test_products_by_hand(compute, count):
    products = Products()
    compute(products)
    assert products.count == count


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same_whoever_counts(name, generator):
    """As NumPy's own operations compute it."""
    sizes = Sizes(n=23, d=5, k=3, r=4)
    x, weights = generator.normal(size=(sizes.n, sizes.d)), layer_weights(name, sizes)
    expected = {
        "self-attention": lambda: attend(x[None], x[None], x[None]).context[0],
        "restricted": lambda: attend(x[None], x[None], x[None], window=(2, 2)).context[0],
        "recurrent": lambda: Recurrent(*weights)(x),
        "contiguous": lambda: Convolution(*weights)(x),
        "dilated": lambda: Convolution(*weights, 3)(x),
        "separable": lambda: SeparableConvolution(*weights)(x),
    }
    np.testing.assert_allclose(run_layer(name, sizes, x, weights, 1), expected[name](), atol=1e-12)
