"""Weights without a mask that look causal."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.visibility import empty_rows, later_keys, looks_causal
from attnviz.nn.site import RecordId, Site
from attnviz.trace.record import Record


def record(weights, kind="self", mask=None):
    site = Site(RecordId("array", 0, kind), "x", "x", len(weights), len(weights))
    return Record(site, weights=weights, mask=mask)


def test_every_head_must_look_at_nothing_later(generator):
    causal = np.tril(generator.random((3, 5, 5)))
    assert looks_causal(record(causal))
    assert not looks_causal(record(causal, kind="cross"))
    assert not looks_causal(record(causal, mask=np.ones((5, 5), bool)))
    causal[1, 2, 3] = 1e-9
    assert not looks_causal(record(causal))


@pytest.mark.parametrize(("n", "looks"), [(1, False), (2, False), (3, True)])
def test_few_tokens_can_look_so_by_chance(n, looks):
    assert looks_causal(record(np.eye(n)[None])) == looks


def test_later_keys():
    assert np.argwhere(later_keys(3)).tolist() == [[0, 1], [0, 2], [1, 2]]


def test_empty_rows():
    assert empty_rows(record(np.diag([1.0, 0, 2, 0, 3])[None]), 0) == [1, 3]
