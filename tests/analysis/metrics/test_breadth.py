"""How many keys heads look at, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.metrics.one_head import CAUSAL, SINK, N, measure, null


def test_spread():
    even = np.full((128, 128), 1 / 128)
    assert measure("entropy", even, np.ones((128, 128), bool)) == pytest.approx(4.852, abs=5e-4)
    assert null("effective_tokens", np.ones((128, 128), bool)) == pytest.approx(128)
    assert null("normalised_entropy", CAUSAL) == pytest.approx(1)
    assert measure("entropy", SINK) == 0
    assert measure("effective_tokens", SINK) == 1
    halves = np.zeros((N, N))
    halves[:, [2, 5]] = 0.5
    assert measure("entropy", halves) == pytest.approx(np.log(2))
    assert measure("effective_tokens", halves) == pytest.approx(2)
    assert measure("normalised_entropy", halves) == pytest.approx(np.log(2) / np.log(N))
    assert measure("confidence", halves) == pytest.approx(0.5)


def test_confidence_leaves_special_tokens_out():
    weights = np.zeros((N, N))
    weights[:, 0], weights[:, 3] = 0.75, 0.25
    special = np.arange(N) == 0
    assert measure("confidence", weights) == 0.75
    assert measure("confidence", weights, special=special) == 0.25
    assert np.isnan(measure("confidence", weights, special=np.ones(N, bool)))
