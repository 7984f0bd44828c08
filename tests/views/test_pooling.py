"""Cells put together keep what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from attnviz.views.kinds import (
    Heatmap,
    indices,
)
from attnviz.views.pooling import pool

VALUES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(0, 1, width=32)
)


def heatmap(values, **given):
    values = np.asarray(values)
    rows, columns = (
        indices(name, n) for name, n in zip(("query", "key"), values.shape, strict=True)
    )
    return Heatmap("h", values, rows, columns, **given)


@given(VALUES, st.integers(1, 4), st.integers(1, 4))
def test_pooled_mass_keeps_the_sums_of_rows(values, rows, columns):
    """A row of weights that sums to 1 still does, however few cells it is put into."""
    pooled = pool(heatmap(values, pooling="mass"), rows, columns)
    step = [values[i : i + rows].sum(-1).mean() for i in range(0, len(values), rows)]
    np.testing.assert_allclose(pooled.values.sum(-1), step, atol=1e-5)


@given(VALUES, st.integers(1, 4), st.integers(1, 4), st.data())
def test_pooling_against_loops(values, rows, columns, data):
    masked = data.draw(arrays(np.uint8, values.shape, elements=st.integers(0, 2)))
    pooled = pool(heatmap(values, masked=masked), rows, columns)
    for i, j in np.ndindex(pooled.values.shape):
        block = np.s_[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        seen = values[block][masked[block] == 0]
        assert (pooled.masked[i, j] == 0) == bool(seen.size)
        if seen.size:
            np.testing.assert_allclose(pooled.values[i, j], seen.mean(), atol=1e-6)


SIGNED = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-1, 1)
)


@given(SIGNED, st.integers(1, 4), st.integers(1, 4), st.data())
def test_the_largest_of_a_block_against_loops(values, rows, columns, data):
    masked = data.draw(arrays(np.uint8, values.shape, elements=st.integers(0, 2)))
    pooled = pool(heatmap(values, masked=masked, pooling="largest"), rows, columns)
    for i, j in np.ndindex(pooled.values.shape):
        block = np.s_[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        seen = values[block][masked[block] == 0]
        if seen.size:
            assert pooled.values[i, j] in seen
            assert abs(pooled.values[i, j]) == abs(seen).max()


@given(SIGNED, st.integers(1, 4), st.integers(1, 4))
def test_the_largest_of_all_survives_and_changes_its_sign_with_the_values(values, rows, columns):
    first, second = (
        pool(heatmap(signed, pooling="largest"), rows, columns).values
        for signed in (values, -values)
    )
    assert abs(first).max() == abs(values).max()
    np.testing.assert_array_equal(abs(first), abs(second))


def test_differences_that_cancel_do_not_vanish():
    values = np.array([[0.5, -0.5, 0.1, -0.2], [0.0, 0.0, np.nan, 0.0]])
    pooled = pool(heatmap(values, pooling="largest"), 1, 2)
    np.testing.assert_array_equal(pooled.values, [[0.5, -0.2], [0.0, np.nan]])
    assert pooled.notes == ("each cell: 1 × 2 of 2 × 4, the value farthest from 0",)
    assert not pool(heatmap(values[:, :2]), 1, 2).values.any()


def test_pooling_says_so_and_names_its_ranges():
    pooled = pool(heatmap(np.ones((7, 5)), pooling="mass"), 3, 2)
    assert pooled.notes == ("each cell: 3 × 2 of 7 × 5, summed over keys, averaged over queries",)
    assert [pooled.rows.index(i) for i in range(3)] == ["0-2", "3-5", "6"]
    assert [pooled.columns.index(i) for i in range(3)] == ["0-1", "2-3", "4"]


def test_nothing_to_pool():
    original = heatmap(np.ones((2, 2)))
    assert pool(original, 1, 1) is original


@pytest.mark.parametrize("pooling", ["mass", "mean", "largest"])
@pytest.mark.parametrize("value", [np.finfo(float).max, -np.finfo(float).max, np.inf, np.nan])
def test_sums_beyond_float64_are_infinite_and_not_warned_of(pooling, value):
    axis = indices("token", 6)
    heatmap = Heatmap("x", np.full((6, 6), value), axis, axis, pooling=pooling)
    pooled = pool(heatmap, 3, 3)
    assert pooled.values.shape == (2, 2)
    assert not (np.abs(pooled.values) < 1e300).any()
