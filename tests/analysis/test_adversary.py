"""Other weights mix the values to the same output, and stay weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.analysis.adversary import moved_share, null_space, other_weights


@given(n_k=st.integers(1, 40), d_v=st.integers(1, 19), seed=st.integers(0, 99))
def test_the_same_output_from_a_distribution_over_few_keys(n_k, d_v, seed):
    generator = np.random.default_rng(seed)
    values, weights = generator.normal(size=(n_k, d_v)), generator.dirichlet(np.ones(n_k))
    others = other_weights(weights, values)
    assert (others >= 0).all()
    assert others.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(others @ values, weights @ values, atol=1e-12)
    assert (others > 0).sum() <= d_v + 1
    if n_k > d_v + 1:
        assert moved_share(weights, others) > 0
    else:  # values in general position are mixed in one way only
        np.testing.assert_array_equal(others, weights)


@given(st.lists(st.booleans(), min_size=4, max_size=12).filter(any))
def test_masked_keys_get_none(visible):
    values = np.ones((len(visible), 2))
    weights = np.array(visible) / sum(visible)
    assert not other_weights(weights, values)[~np.array(visible)].any()


def test_by_hand():
    """Values 0, 1, 2: half of 0 and half of 2 is 1."""
    values = np.array([[0.0], [1.0], [2.0]])
    np.testing.assert_allclose(other_weights([0, 1, 0], values), [0, 1, 0])
    np.testing.assert_allclose(other_weights([0.25, 0.5, 0.25], values), [0.5, 0, 0.5])


def test_the_weights_given_are_left_alone():
    weights = np.array([0.5, 0.5])
    other_weights(weights, np.zeros((2, 1)))
    np.testing.assert_array_equal(weights, [0.5, 0.5])


def test_null_space():
    basis = null_space(np.array([[1.0, 1.0, 0.0]]))
    assert basis.shape == (3, 2)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-15)
    np.testing.assert_allclose(np.array([1.0, 1.0, 0.0]) @ basis, 0, atol=1e-15)
    assert null_space(np.eye(3)).shape == (3, 0)


def test_shares():
    share = moved_share(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.25, 0.75]]))
    np.testing.assert_array_equal(share, [1, 0.25])
