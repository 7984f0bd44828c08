"""Induction and its relatives, worked by hand and as published."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics import METRICS, MetricContext, Pattern
from tests.analysis.metrics.one_head import CAUSAL, N, mask, measure

BLOCK = np.array([9, 4, 5, 6, 4, 5, 6, 4, 5, 6])
"""[BOS] and three times 4 5 6."""


def test_induction_sums_over_all_followers():
    weights = np.eye(N)
    weights[7] = weights[8] = weights[9] = 0
    weights[7, [2, 5]] = 0.25, 0.75  # behind the 4s at 1 and 4
    weights[8, [3, 6]] = 0.5
    weights[9, [4, 7]] = 0.5, 0.5
    special = np.arange(N) == 0
    known = {"ids": BLOCK, "special": special}
    # rows 4 to 9 have an earlier copy; 7, 8, 9 give all to what is behind
    assert measure("induction", weights, CAUSAL, **known) == pytest.approx(3 / 6)
    assert measure("prefix_matching", weights, CAUSAL, **known) == pytest.approx(3 / 9)
    assert measure("duplicate_token", weights, CAUSAL, **known) == 0
    assert MetricContext(CAUSAL, **known).copy_distances.tolist() == [3, 6]


def test_prefix_matching_has_a_ceiling_of_a_half():
    """Olsson et al.: a block that comes four times; a perfect head has 75 rows over 150 cells."""
    ids = np.concatenate([[99], np.tile(np.arange(25), 4)])
    context = MetricContext(mask("causal", 101), ids=ids, special=np.arange(101) == 0)
    weights = np.zeros((101, 101))
    weights[:26, 0] = 1
    for row in range(26, 101):
        weights[row, row - 24] = 1
    pattern = Pattern(context, weights[None])
    assert METRICS["induction"](pattern) == (1, 75)
    assert METRICS["prefix_matching"](pattern) == (0.5, 75)
    assert len(places(context.followers)) == 150


def test_copies_of_special_tokens_and_the_query_itself_do_not_count():
    separators = np.array([1, 2, 0, 3, 2, 0])
    special = separators == 0
    context = MetricContext(np.ones((6, 6), bool), ids=separators, special=special)
    assert places(context.copies) == [[4, 1]]
    assert places(context.followers) == [[4, 2]]
    twins = MetricContext(mask("causal", 3), ids=np.array([7, 7, 7]))
    assert places(twins.followers) == [[2, 1]]


def places(cells):
    return [[int(row), int(key)] for row, key in zip(cells.row, cells.key, strict=True)]
