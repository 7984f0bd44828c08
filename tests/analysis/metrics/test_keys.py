"""Which keys heads look at, worked by hand and as published."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics import MetricContext, Pattern
from attnviz.analysis.metrics.keys import sink_position
from tests.analysis.metrics.one_head import ALL, SINK, N, mask, measure, null


@pytest.mark.parametrize(("n", "published"), [(8, 0.34), (10, 0.293), (32, 0.127), (64, 0.074)])
def test_an_even_spread_looks_like_a_sink_on_short_input(n, published):
    assert null("first_token", mask("causal", n)) == pytest.approx(published, abs=6e-4)
    assert null("sink_share", mask("causal", n)) == pytest.approx(published, abs=6e-4)


def test_keys():
    assert measure("first_token", SINK) == measure("sink_share", SINK) == 1
    assert measure("verticality", SINK) == 0
    assert measure("verticality", np.eye(N)) == pytest.approx(-np.log(N))
    last = np.eye(N)[np.full(N, 7)]
    pattern = Pattern(MetricContext(ALL), np.stack([SINK, last, np.eye(N)]))
    assert sink_position(pattern.columns, pattern.context).tolist()[:2] == [0, 7]
    marks = np.arange(N) >= 8
    assert null("special_tokens", ALL, special=marks) == pytest.approx(2 / N)
    assert null("punctuation", ALL, punctuation=marks) == pytest.approx(2 / N)
    assert measure("special_tokens", last, special=np.arange(N) == 7) == 1
    assert np.isnan(measure("special_tokens", last))
    assert np.isnan(measure("punctuation", last, punctuation=np.zeros(N, bool)))
