"""Convolutions against loops over single numbers, and against matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.nn.convolution import Convolution, SeparableConvolution


@given(
    n=st.integers(1, 13), k=st.sampled_from([1, 3, 5]), dilation=st.integers(1, 5), seed=st.integers(0, 9)
)  # fmt: skip
def test_by_a_loop(n, k, dilation, seed):
    generator = np.random.default_rng(seed)
    layer = Convolution(generator.normal(size=(k, 3, 2)), generator.normal(size=3), dilation)
    x = generator.normal(size=(n, 2))
    expected = np.zeros((n, 3))
    for i in range(n):
        for out in range(3):
            expected[i, out] = layer.bias[out]
            for tap in range(k):
                place = i + (tap - k // 2) * dilation
                if 0 <= place < n:
                    expected[i, out] += sum(layer.weight[tap, out, j] * x[place, j] for j in (0, 1))
    np.testing.assert_allclose(layer(x), expected, atol=1e-12)


@given(n=st.integers(1, 13), dilation=st.integers(1, 5), seed=st.integers(0, 9))
def test_separable_is_a_convolution_of_rank_one_kernels(n, dilation, seed):
    generator = np.random.default_rng(seed)
    depth, point, bias = (generator.normal(size=s) for s in ((3, 2), (5, 2), (5,)))
    whole = Convolution(point[None] * depth[:, None], bias, dilation)
    x = generator.normal(size=(n, 2))
    ours = SeparableConvolution(depth, point, bias, dilation)(x)
    np.testing.assert_allclose(ours, whole(x), atol=1e-12)


def test_as_numpy_convolves(generator):
    """Which correlates with the kernel turned round."""
    x, kernel = generator.normal(size=11), generator.normal(size=5)
    ours = Convolution(kernel[:, None, None], np.zeros(1))(x[:, None])[:, 0]
    np.testing.assert_allclose(ours, np.convolve(x, kernel[::-1], "same"), atol=1e-14)


@pytest.mark.parametrize("n", [1, 6, 7])
def test_a_stride_takes_some_of_the_places(n, generator):
    whole = Convolution(generator.normal(size=(3, 5, 2)), generator.normal(size=5))
    x = generator.normal(size=(n, 2))
    for stride in (2, 3):
        found = whole._replace(stride=stride)(x)
        np.testing.assert_allclose(found, whole(x)[::stride], atol=1e-14)


@pytest.mark.parametrize(("k", "dilation"), [(2, 1), (3, 0)])
def test_a_kernel_without_a_middle(k, dilation):
    layer = Convolution(np.ones((k, 1, 1)), np.zeros(1), dilation)
    with pytest.raises(AttnvizError, match="no token in its middle"):
        layer(np.ones((4, 1)))
