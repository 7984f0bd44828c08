"""Where heads look from the query, worked by hand and as published."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics import METRICS, MetricContext, Pattern
from attnviz.analysis.metrics.distance import best_offset
from tests.analysis.metrics.one_head import CAUSAL, NEXT, PREVIOUS, SINK, N, mask, measure, null


def test_a_shifted_identity_looks_at_the_previous_token():
    assert measure("previous_token", PREVIOUS) == 1
    assert measure("previous_token", PREVIOUS, CAUSAL) == 1
    assert measure("next_token", NEXT) == 1
    assert measure("self_token", np.eye(N)) == 1
    assert measure("next_token", PREVIOUS) == measure("previous_token", NEXT) == 0
    assert np.isnan(measure("next_token", PREVIOUS, CAUSAL))


@pytest.mark.parametrize("n", [2, 7, 31])
def test_distance_of_an_even_spread(n):
    assert null("mean_distance", mask("causal", n)) == pytest.approx((n - 1) / 4)
    assert null("mean_distance", np.ones((n, n), bool)) == pytest.approx((n * n - 1) / (3 * n))


def test_previous_token_of_an_even_spread():
    assert null("previous_token", mask("causal", 64)) == pytest.approx(0.059, abs=5e-4)
    assert null("previous_token", np.ones((64, 64), bool)) == pytest.approx(1 / 64)


def test_diagonality():
    assert measure("diagonality", np.eye(N)) == 1
    farthest = np.eye(N)[np.where(np.arange(N) < N / 2, N - 1, 0)]
    assert measure("diagonality", farthest) == 0
    assert null("diagonality", CAUSAL) == pytest.approx(0.5)


def test_positional():
    pattern = Pattern(MetricContext(CAUSAL), np.stack([PREVIOUS, np.eye(N), SINK]))
    assert METRICS["positional"](pattern).value.tolist() == pytest.approx([1, 1, 1 / 9])
    assert best_offset(pattern.offsets, pattern.context).tolist()[:2] == [-1, 0]
    both = (PREVIOUS + np.eye(N)) / 2  # two largest weights in a row: half a hit each
    assert measure("positional", both, CAUSAL) == pytest.approx(0.5)
    cut = np.zeros((N, N))
    cut[:, 4] = 1
    cut[3:6] = np.eye(N, k=2)[3:6]
    assert measure("positional", cut) == pytest.approx(0.4)  # rows 2 (4 - 2), 3, 4, 5
