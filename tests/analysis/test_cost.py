"""Table 1 of Vaswani et al. 2017 for sizes that were worked out by hand, and as running layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.analysis.cost import LAYERS, Sizes, growth, seen_inputs

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
