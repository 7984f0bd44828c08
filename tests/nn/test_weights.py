"""Weights that are made when they are used."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.nn.weights import LazyWeight, rows

TABLE = np.arange(35.0).reshape(7, 5)


@pytest.fixture
def made():
    """A table that is made on demand, and what was asked for."""
    asked = []

    def make(ids):
        asked.append(None if ids is None else list(ids))
        return TABLE if ids is None else TABLE[ids]

    return LazyWeight(TABLE.shape, make), asked


def test_it_is_an_array_like_any_other(made):
    weight, _ = made
    assert (weight.shape, weight.size, len(weight)) == ((7, 5), 35, 7)
    np.testing.assert_array_equal(np.asarray(weight), TABLE)
    assert np.asarray(weight, np.float32).dtype == np.float32


def test_rows_are_made_without_the_others(made):
    weight, asked = made
    ids = np.array([[3, 1], [6, 3]])
    for table in (weight, TABLE):
        np.testing.assert_array_equal(rows(table, ids), TABLE[ids])
    assert asked == [[3, 1, 6, 3]]


def test_what_stays_is_made_once(made):
    weight, asked = made
    np.asarray(weight), np.asarray(weight)
    assert len(asked) == 2
    weight.stay()
    weight.stay()
    assert np.asarray(weight).T.flags.c_contiguous  # as products read it
    np.testing.assert_array_equal(np.asarray(weight), TABLE)
    np.testing.assert_array_equal(rows(weight, np.array([4])), TABLE[[4]])
    assert len(asked) == 3
