"""Maps of patches hold the row of the query, without the class token."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.patch_maps import first_shares, most_probable, outlier_patches, patch_maps
from attnviz.nn.site import RecordId, Site
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Record, Trace
from attnviz.trace.selection import parse_selection

N_HEAD, GRID = 3, (2, 5)


@pytest.fixture
def trace():
    n = 1 + GRID[0] * GRID[1]
    weights = np.random.default_rng(0).random((2, N_HEAD, n, n))
    records = tuple(
        Record(
            Site(RecordId("encoder", layer, "self"), "source", "source", N_HEAD, N_HEAD),
            weights=weights[layer],
        )
        for layer in range(2)
    )
    return Trace(ModelFacts("x"), {"source": Tokens.of(["x"] * n)}, records)


def test_maps_are_rows_of_the_weights(trace):
    (maps,) = patch_maps(trace, parse_selection(["L1.H0,H2"]), 7, GRID)
    assert (maps.layer, maps.heads) == (1, (0, 2))
    for head in maps.heads:
        np.testing.assert_array_equal(
            maps.head(head).ravel(), trace.records[1].weights[head, 7, 1:]
        )
    assert maps.head(1) is None
    assert maps.largest == trace.records[1].weights[[0, 2], 7, 1:].max()


def test_means(trace):
    maps = patch_maps(trace, parse_selection(()), 0, GRID)
    mean = maps[0].mean()
    np.testing.assert_allclose(mean.patches[0].ravel(), trace.records[0].weights[:, 0, 1:].mean(0))
    shares = [record.weights[:, 0, 0] for record in trace]
    assert first_shares(maps) == pytest.approx([np.mean(shares)])


def test_registers_are_no_patches(trace):
    grid = (3, 3)
    (maps,) = patch_maps(trace, parse_selection(["L0"]), 1, grid)
    np.testing.assert_array_equal(maps.first, trace.records[0].weights[:, 1, :2])
    np.testing.assert_array_equal(maps.patches[2].ravel(), trace.records[0].weights[2, 1, 2:])
    assert first_shares([maps]).shape == (2,)
    assert patch_maps(trace, parse_selection(()), None, grid) == []


def test_outliers_are_the_long_ones_in_order(generator):
    states = generator.normal(size=(2 + 7, 5))
    states /= np.linalg.norm(states, axis=-1, keepdims=True)
    states[0] *= 100  # a class token is no patch
    states[2 + 3] *= 4
    states[2 + 6] *= 9
    states[2 + 1] *= 2
    found = outlier_patches(states, 7)
    assert found.patches == (6, 3)
    assert found.ratios == pytest.approx((9, 4))
    assert outlier_patches(states[:5], 3).patches == ()


def test_the_most_probable_come_first_and_ties_in_order():
    assert most_probable(np.array([0.1, 0.4, 0.1, 0.4]), 3) == [(1, 0.4), (3, 0.4), (0, 0.1)]
