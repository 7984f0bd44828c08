"""How far rows are apart, against the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnviz.analysis.distributions import MAX_DIVERGENCE, entropy, jensen_shannon

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
