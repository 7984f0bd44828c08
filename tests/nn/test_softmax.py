"""Softmax at its edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from attnviz.nn import softmax as module
from attnviz.nn.softmax import masked_softmax, softmax

FINITE = st.floats(-1e4, 1e4, width=32)
MATRICES = arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=FINITE)


def reference(logits):
    """In float64, row by row."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(-1, keepdims=True)


@given(MATRICES)
def test_against_the_formula(logits):
    np.testing.assert_allclose(softmax(logits), reference(logits), atol=2e-6)


@given(MATRICES, st.floats(-100, 100, width=32))
def test_shift_changes_nothing(logits, shift):
    exact = logits.astype(np.float64)
    np.testing.assert_allclose(softmax(exact + shift), softmax(exact), atol=1e-9)


@given(MATRICES, st.data())
def test_rows_sum_to_one_or_zero(logits, data):
    visible = data.draw(arrays(bool, logits.shape))
    weights = masked_softmax(logits, visible)
    sums = weights.sum(-1)
    np.testing.assert_allclose(sums, np.where(visible.any(-1), 1, 0), atol=1e-5)
    assert (weights[~visible] == 0).all()


@given(MATRICES, st.data())
def test_what_a_masked_cell_holds_has_no_influence(logits, data):
    visible = data.draw(arrays(bool, logits.shape))
    hidden = st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38])
    other = np.where(visible, logits, data.draw(arrays(np.float32, logits.shape, elements=hidden)))
    np.testing.assert_array_equal(masked_softmax(other, visible), masked_softmax(logits, visible))


def test_scores_below_any_finite_fill():
    """Real scores of -1e30 are above a mask, and -1e9 would have been above them."""
    weights = masked_softmax(
        np.array([[[-1e30, 5.0, -1e30]]], np.float32), np.array([True, False, True])
    )
    assert weights.tolist() == [[[0.5, 0, 0.5]]]


def test_a_row_without_keys_is_zero_not_uniform_not_nan():
    assert softmax(np.full((1, 3), -np.inf)).tolist() == [[0, 0, 0]]
    assert masked_softmax(np.ones((1, 2, 3), np.float32), np.zeros(3, bool)).tolist() == [
        [[0] * 3] * 2
    ]


def test_nan_and_infinity_stay_in_their_row():
    weights = softmax(np.array([[0.0, np.nan], [0.0, np.inf], [0.0, 0.0]]))
    assert np.isnan(weights[0]).all()
    assert np.isnan(weights[1]).any()
    assert weights[2].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_axis(axis, generator):
    x = generator.normal(size=(2, 3, 5))
    expected = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    np.testing.assert_allclose(softmax(x, axis), expected, atol=1e-12)


def test_sinks_take_their_share_of_the_denominator():
    logits = np.log(np.array([[[1.0, 2.0]], [[1.0, 2.0]]]))
    weights = masked_softmax(logits, None, sinks=np.log([3.0, 1.0]))
    np.testing.assert_allclose(weights, [[[1 / 6, 2 / 6]], [[1 / 4, 2 / 4]]])


@pytest.mark.parametrize("size", [1.0, 70.0, 80.0, 300.0])
def test_the_short_cut_without_a_shift_gives_the_same(size, generator):
    """Bounds on the logits spare looking for each row's peak: below, at and above them."""
    logits = generator.uniform(-size, size, (2, 3, 40)).astype(np.float32)
    within = (float(logits.min()), float(logits.max()))
    quick = module.softmax_in_place(logits.copy(), within=within)
    np.testing.assert_allclose(quick, module.softmax_in_place(logits.copy()), rtol=2e-5, atol=1e-37)


def test_the_input_is_not_written_to(generator):
    logits = generator.normal(size=(1, 2, 3))
    before = logits.copy()
    softmax(logits)
    masked_softmax(logits, np.array([True, False, True]))
    np.testing.assert_array_equal(logits, before)


@given(
    arrays(
        np.float64,
        array_shapes(min_dims=3, max_dims=4, min_side=0, max_side=5),
        elements=st.sampled_from([-np.inf, -800.0, -1.0, 0.0, 2.0, 90.0, np.inf, np.nan]),
    ),
    st.sampled_from([np.float32, np.float64]),
    st.data(),
)
def test_in_place_is_the_formula(logits, dtype, data):
    logits = logits.astype(dtype)
    sinks = data.draw(st.sampled_from([None, np.linspace(-3, 3, logits.shape[-3])]))
    expected = softmax(logits, sinks=sinks)
    assert expected.dtype == dtype
    np.testing.assert_allclose(
        module.softmax_in_place(logits.copy(), sinks), expected, rtol=1e-5, atol=1e-30
    )
