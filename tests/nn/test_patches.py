"""Patches as a convolution sees them; positions resized as PyTorch resizes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.nn.patches import (
    GridPositions,
    cubic,
    cubic_weights,
    cut,
    resize_grid,
    smooth_cubic_weights,
)
from tests.conftest import GOLDEN

SIDE = st.integers(1, 40)


def test_patches_are_those_of_a_convolution(generator):
    """A kernel [d, channel, height, width] that steps as far as it reaches, in loops."""
    image, kernel = generator.normal(size=(3, 11, 14)), generator.normal(size=(2, 3, 5, 4))
    expected = [
        [(image[:, 5 * i : 5 * i + 5, 4 * j : 4 * j + 4] * k).sum() for k in kernel]
        for i in range(2)
        for j in range(3)
    ]
    np.testing.assert_allclose(cut(image, (5, 4)) @ kernel.reshape(2, -1).T, expected, atol=1e-12)


def test_patches_are_row_by_row():
    image = np.arange(24.0).reshape(1, 4, 6)
    np.testing.assert_array_equal(cut(image, (2, 2))[:2], [[0, 1, 6, 7], [2, 3, 8, 9]])
    np.testing.assert_array_equal(cut(image[None], (2, 2))[0], cut(image, (2, 2)))


@pytest.mark.parametrize("name", ["5-5-7-3", "5-5-2-2", "3-7-11-5", "37-37-16-23"])
def test_grids_are_resized_as_in_pytorch(name):
    with np.load(GOLDEN / "images" / "grids.npz") as file:
        grid, expected, smooth = (file[f"{name}/{kind}"] for kind in ("grid", "resized", "smooth"))
    found = resize_grid(grid, *expected.shape[:2])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found = resize_grid(grid, *expected.shape[:2], smooth=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, smooth, atol=1e-6)
    exact = resize_grid(grid.astype(np.float64), *expected.shape[:2])
    np.testing.assert_allclose(exact, expected, atol=5e-6)  # PyTorch rounds the places


@given(SIDE, SIDE)
def test_every_point_has_its_share(old, new):
    """Weights sum to 1: what is the same everywhere stays so."""
    for weights in (cubic_weights(old, new), smooth_cubic_weights(old, new)):
        assert weights.shape == (new, old)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)


@given(SIDE, st.integers(1, 7))
def test_a_grid_that_grows_is_the_same_from_both_sides(old, factor):
    weights = cubic_weights(old, old * factor)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-9)


def test_the_kernel_interpolates():
    np.testing.assert_array_equal(cubic(np.array([0.0, 1, -1, 2, 2.5])), [1, 0, 0, 0, 0])
    assert cubic(np.array([1.5]))[0] == -0.09375  # a/8


def test_positions_of_the_same_grid_are_the_table(generator):
    grid = generator.normal(size=(2, 4, 3))
    positions = GridPositions(grid)
    np.testing.assert_array_equal(positions(2, 4), np.concatenate([*grid]))
    np.testing.assert_array_equal(positions(3, 5), resize_grid(grid, 3, 5).reshape(15, 3))
