"""The stages of a head follow from one another."""

from __future__ import annotations

import numpy as np

import attnviz
from attnviz.analysis.steps import STAGES, head_steps


def test_stages_with_shared_keys_and_a_temperature():
    trace = attnviz.run(
        "I saw a saw", model="random", stages=STAGES, dtype="float64", kv_heads=2, temperature=3.0
    )
    record = trace.records[1]
    steps = head_steps(record, 3)
    assert steps.kv_head == 1
    np.testing.assert_allclose(steps.similarity, steps.q @ steps.k.T)
    np.testing.assert_allclose(steps.scores, steps.similarity * record.site.scale)
    np.testing.assert_allclose(steps.row_sums, 1)
    np.testing.assert_allclose(steps.context, steps.weights @ steps.v)
