"""Scales and pooling: what a cell's colour stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    Heatmap,
    Scale,
    Table,
    around_zero,
    indices,
)
from attnviz.views.numbers import fixed, short
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


def test_fixed_scale():
    shades = heatmap([[0, 0.25, 1, 1.5, -1]]).shades()
    assert shades.tolist() == [[0, 0.25, 1, 1, 0]]


def test_row_scale_goes_to_each_rows_largest_and_keeps_zero_rows_zero():
    shades = heatmap([[0.1, 0.2], [0, 0], [0.5, 0.25]], scale=Scale(0, 1, by="row")).shades()
    np.testing.assert_allclose(shades, [[0.5, 1], [0, 0], [1, 0.5]])


def test_head_scale_goes_to_the_largest():
    shades = heatmap([[0.1, 0.2], [0, 0.4]], scale=Scale(0, 1, by="head")).shades()
    np.testing.assert_allclose(shades, [[0.25, 0.5], [0, 1]])


def test_log_scale_has_decades_and_a_floor():
    shades = heatmap([[1, 0.1, 0.01, 1e-4, 0, 1e-9]], scale=Scale(0, 1, by="log")).shades()
    np.testing.assert_allclose(shades, [[1, 0.75, 0.5, 0, 0, 0]], atol=1e-12)


def test_diverging_scale_is_the_same_on_both_sides():
    values = np.array([[-2.0, 0, 1, np.nan]])
    scale = around_zero(values)
    assert (scale.low, scale.high) == (-2, 2)
    shades = heatmap(values, scale=scale).shades()
    np.testing.assert_array_equal(shades, [[-1, 0, 0.5, np.nan]])


def test_masked_cells_have_no_place_whatever_they_hold():
    masked = np.array([[0, 1, 2]])
    shades = heatmap([[0.5, 0.0, np.inf]], masked=masked).shades()
    np.testing.assert_array_equal(shades, [[0.5, np.nan, np.nan]])


def test_masked_cells_do_not_stretch_a_row():
    masked = np.array([[0, 1]])
    assert heatmap([[0.5, 9.0]], masked=masked, scale=Scale(0, 1, by="row")).shades()[0, 0] == 1


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


def test_axis_index():
    assert Axis("position", ("a", "b"), first=5).index(1) == "6"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (-1.5, "-1.5"), (12.345, "12.3"), (123.4, "123"), (1, "1"), (100, "100"),
     (12345, "1.2e+04"), (1e-5, "1.0e-05"), (np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")],
)  # fmt: skip
def test_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.004, "0.00"), (-0.0, "0.00"), (-0.006, "-0.01"), (-12.0, "-12.00")]
)
def test_what_rounds_to_zero_has_no_sign(value, text):
    assert fixed(value, 2) == text
    assert Table("t", ("x",), ((value,),), decimals=2).texts() == [[text]]


def test_who_masks_and_what_is_broken():
    masked = np.array([[0, 2, 2], [0, 0, 1]])
    values = np.array([[0.1, np.nan, 0.2], [0.3, 0.4, 0.5]])
    found = heatmap(values, masked=masked, reasons=("causal", "padding"))
    assert found.masked_by() == {"causal": "rising", "padding": "falling"}
    assert not found.is_broken()
    assert heatmap(values).is_broken()
    assert heatmap(values).masked_by() == {}
    assert heatmap(values, masked=masked).masked_by() == {"custom": "crossed"}


def test_every_scale_says_what_it_is():
    assert WEIGHTS.text == "scale: 0 to 1"
    assert Scale(0, 1, by="row").text == "scale: 0 to largest (of each row)"
    assert Scale(0, 1, by="head").text == "scale: 0 to largest (of each head)"
    assert Scale(0, 1, by="log").text == "scale: 0.0001 and below to 1 (logarithmic)"
    assert Scale(-3, 3, "diverging").text == "scale: -3 to 3"
