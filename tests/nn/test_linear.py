"""The linear map for few tokens and many, with and without memory of its own."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.nn import linear as module
from attnviz.nn import threads
from attnviz.nn.linear import FEW, Clipped, Linear, linear
from attnviz.nn.threads import in_team
from attnviz.nn.weights import LazyWeight, laid_out

D_IN, D_OUT = 7, 11


@pytest.mark.parametrize("n", [0, 1, 5, 8, FEW - 1, FEW, FEW + 3])
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_x_times_the_transpose_plus_the_bias(n, biased, generator):
    x, weight = generator.normal(size=(n, D_IN)), generator.normal(size=(D_OUT, D_IN))
    bias = generator.normal(size=D_OUT) if biased else None
    expected = np.einsum("ni,oi->no", x, weight) + (bias if biased else 0)
    room = np.full((n, D_OUT), np.nan)
    for out in (None, room):
        np.testing.assert_allclose(linear(x, weight, bias, out), expected, atol=1e-12)


@pytest.mark.parametrize("n", [3, FEW + 1])
def test_leading_axes_are_more_tokens(n, generator):
    x, weight = generator.normal(size=(2, 3, n, D_IN)), generator.normal(size=(D_OUT, D_IN))
    bias, room = generator.normal(size=D_OUT), np.full((2, 3, n + 2, D_OUT), np.nan)
    for out in (None, room[..., 1:-1, :], room[..., :n, :]):
        y = linear(x, weight, bias, out)
        assert y.shape == (2, 3, n, D_OUT)
        assert out is None or np.shares_memory(y, room)
        np.testing.assert_allclose(y[1, 2], linear(x[1, 2], weight, bias), atol=1e-12)


@pytest.mark.parametrize("n", [1, 3])
def test_a_very_large_product_is_shared_by_all_cores(n, generator, monkeypatch):
    x, weight = generator.normal(size=(n, D_IN)), generator.normal(size=(D_OUT, D_IN))
    expected = linear(x, weight)
    monkeypatch.setattr(threads, "_most", [3])
    monkeypatch.setattr(threads, "ROWS_OF_PART", 1)
    used = []
    for enough, n_thread in ((D_OUT * D_IN * 8, 3), (D_OUT * D_IN * 8 + 1, 1)):
        monkeypatch.setattr(threads, "ENOUGH", enough)
        used.clear()
        monkeypatch.setattr(module, "in_team", lambda n, work: used.append(n) or in_team(n, work))
        np.testing.assert_allclose(linear(x, laid_out(weight)), expected, atol=1e-12)
        assert used == [n_thread] * (n_thread > 1)


def test_a_weight_may_be_made_when_it_is_used(generator):
    x, weight = generator.normal(size=(5, D_IN)), generator.normal(size=(D_OUT, D_IN))
    lazy = LazyWeight(weight.shape, lambda rows: weight if rows is None else weight[rows])
    np.testing.assert_array_equal(Linear(lazy)(x), Linear(weight)(x))


def test_a_clipped_map_stays_within_its_limit(generator):
    plain = Linear(generator.normal(size=(D_OUT, D_IN)), generator.normal(size=D_OUT))
    clipped, x = Clipped(plain, 0.7), generator.normal(size=(5, D_IN))
    expected = [[max(-0.7, min(0.7, y)) for y in row] for row in plain(x)]
    room = np.full((5, D_OUT), np.nan)
    for out in (None, room):
        np.testing.assert_array_equal(clipped(x, out), expected)
    np.testing.assert_array_equal(room, expected)
    assert (np.abs(expected) == 0.7).any()
    assert clipped.weight is plain.weight
    assert clipped.bias is plain.bias
