"""What holds for every metric where there is nothing to measure."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics import METRICS
from tests.analysis.metrics.one_head import N, measure


def test_cross_attention_has_no_places():
    weights = np.full((3, 5), 0.2)
    visible = np.ones((3, 5), bool)
    for name in ("previous_token", "mean_distance", "diagonality", "positional", "induction"):
        assert np.isnan(measure(name, weights, visible, first=None, ids=np.arange(5)))
    assert measure("first_token", weights, visible, first=None) == pytest.approx(0.2)


def test_one_token_has_no_choice():
    for name in METRICS:
        value = measure(name, [[1.0]], np.ones((1, 1), bool), ids=np.zeros(1, int))
        assert np.isnan(value) or (name, value) in [
            ("first_token", 1),
            ("sink_share", 1),
            ("verticality", 0),
            ("mean_distance", 0),
        ]


def test_broken_weights_give_no_numbers():
    weights = np.full((N, N), 1 / N)
    weights[4, 5] = np.nan
    for name in METRICS:
        assert np.isnan(measure(name, weights, ids=np.zeros(N, int)))
