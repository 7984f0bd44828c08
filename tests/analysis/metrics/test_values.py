"""What heads move, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics import METRICS, MetricContext, Pattern
from attnviz.analysis.metrics.values import value_norms
from tests.analysis.metrics.one_head import ALL, N


def test_value_norms(generator):
    n_head, n_kv_head, d_v, d_model, n_k = 6, 3, 5, 11, 7
    v = generator.normal(size=(n_kv_head, n_k, d_v))
    output = generator.normal(size=(d_model, n_head * d_v))
    found = value_norms(v, output)
    assert found.shape == (n_head, n_k)
    for head in range(n_head):
        moved = v[head // 2] @ output[:, head * d_v : (head + 1) * d_v].T
        np.testing.assert_allclose(found[head], np.linalg.norm(moved, axis=-1))


def test_a_sink_with_a_short_value_moves_nothing():
    weights = np.full((N, N), 0.1 / (N - 1))
    weights[:, 0] = 0.9
    norms = np.ones((1, N))
    norms[0, 0] = 0
    pattern = Pattern(MetricContext(ALL), weights[None], norms)
    assert METRICS["first_token"](pattern).value == pytest.approx(0.9)
    assert METRICS["first_token_moved"](pattern).value == 0
    assert METRICS["value_norm"](pattern).value == pytest.approx(0.1)
    assert METRICS["value_norm"](pattern.null).value == pytest.approx(0.9)
