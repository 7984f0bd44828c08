"""How far rows are apart, against the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnviz.analysis.distributions import (
    MAX_DIVERGENCE,
    ROUNDING,
    are_distributions,
    entropy,
    jensen_shannon,
)

ROWS = arrays(float, (3, 6), elements=st.floats(0, 1))


def shares(rows):
    return rows / np.maximum(rows.sum(-1, keepdims=True), 1e-9)


@given(ROWS, ROWS)
def test_by_its_definition(x, y):
    x, y = shares(x), shares(y)
    expected = [
        sum((p * math.log(2 * p / (p + q)) if p else 0) + (q * math.log(2 * q / (p + q)) if q else 0)
            for p, q in zip(row, other, strict=True)) / 2
        for row, other in zip(x, y, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(jensen_shannon(x, y), expected, atol=1e-12)
    np.testing.assert_array_equal(
        jensen_shannon(x, y, (entropy(x), entropy(y))), jensen_shannon(x, y)
    )
    assert (jensen_shannon(x, y) >= 0).all()


def test_rows_without_a_common_key():
    assert jensen_shannon(np.eye(2), np.eye(2)[::-1]) == pytest.approx([MAX_DIVERGENCE] * 2)
    assert math.log(2) == MAX_DIVERGENCE


def test_negative_weights_have_none():
    assert np.isnan(jensen_shannon(np.array([[-0.5, 1.5]]), np.array([[0.5, 0.5]]))).all()


@given(ROWS, ROWS, st.integers(0, 6))
def test_keys_left_out_can_only_make_it_smaller(x, y, n):
    x, y = shares(x), shares(y)
    assert (jensen_shannon(x[:, :n], y[:, :n]) <= jensen_shannon(x, y) + 1e-12).all()


HOSTILE = st.one_of(
    st.floats(), st.sampled_from([np.finfo(float).max, np.finfo(float).min, 5e-324, 0.0, 1.0])
)


@given(arrays(np.float64, (2, 3, 4), elements=HOSTILE), st.booleans())
def test_what_is_a_distribution(weights, partial):
    """By loops; whatever the numbers are, nothing is warned of."""

    def fits(row):
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(sum(row))
        top = 0 <= total <= 1 + ROUNDING
        return all(x >= 0 for x in row) and top and (partial or total >= 1 - ROUNDING or total == 0)

    expected = [all(fits(row) for row in head) for head in weights.tolist()]
    assert are_distributions(weights, partial).tolist() == expected


@given(arrays(np.float64, (3, 6), elements=st.floats(0, 1)).map(shares))
def test_rows_that_are_normalised_are_distributions(rows):
    whole = rows[rows.sum(-1) > 0.5]
    for dtype in (np.float16, np.float32, np.float64):
        assert are_distributions(whole.astype(dtype))


def test_entropy_of_half_precision_over_many_keys():
    """The logarithm of a weight has to be finer than the weight: of 2431 tokens 2404 were left."""
    logits = np.random.default_rng(0).normal(size=4000)
    weights = (np.exp(logits) / np.exp(logits).sum()).astype(np.float16)
    exact = -sum(w * math.log(w) for w in weights.tolist() if w)
    assert float(entropy(weights)) == pytest.approx(exact, rel=1e-6)
