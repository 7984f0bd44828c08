"""Sums that metrics are made of, against loops."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from attnviz.analysis.metrics.pattern import MetricContext, Offset, Pattern, key_sums
from attnviz.analysis.metrics.registry import METRICS
from attnviz.analysis.metrics.sums import MetricSums
from attnviz.nn.masks import parse

N_TEXT, N_HEAD, N_Q, N_K = 2, 3, 5, 7


@pytest.fixture
def weights(generator):
    return generator.random((N_TEXT, N_HEAD, N_Q, N_K))


def test_sums_of_keys_that_heads_share_or_have_of_their_own(weights, generator):
    for n in (1, N_HEAD):
        values = generator.random((N_TEXT, n, N_K))
        found = key_sums(weights, values)
        for text, head, query in np.ndindex(N_TEXT, N_HEAD, N_Q):
            expected = (weights[text, head, query] * values[text, head % n]).sum()
            assert found[text, head, query] == pytest.approx(expected)


def test_queries_without_a_choice_do_not_count(weights):
    """Five queries at the end of seven keys; then the same at the start, where one has one key."""
    square = weights[:, :, :, :N_Q]
    context = MetricContext(parse("causal").visible(np.arange(N_Q), np.arange(N_Q)))
    pattern = Pattern(context, square)
    measure = pattern.over_rows(square[..., 0])
    np.testing.assert_allclose(measure.value, square[..., 1:, 0].mean(-1))
    assert measure.rows.tolist() == [N_Q - 1]
    diagonal = np.eye(N_Q, dtype=bool)[None]
    own = np.diagonal(square, axis1=-2, axis2=-1)
    np.testing.assert_allclose(pattern.mass(diagonal).value, own[..., 1:].mean(-1))
    np.testing.assert_allclose(pattern.mass(diagonal, forced=True).value, own.mean(-1))
    elsewhere = Pattern(MetricContext(context.visible, first=None), square)
    assert np.isnan(elsewhere.mass(Offset(0)).value).all()


def test_columns_are_mean_rows_of_the_queries_that_see_a_key(weights):
    visible = np.ones((N_Q, N_K), bool)
    visible[3] = False
    columns = Pattern(MetricContext(visible), weights).columns
    np.testing.assert_allclose(columns, np.delete(weights, 3, axis=-2).mean(-2))


def test_an_even_spread_has_the_norms_of_the_head(weights, generator):
    norms = generator.random((N_TEXT, N_HEAD, N_K))
    null = Pattern(MetricContext(np.ones((N_Q, N_K), bool)), weights, norms).null
    np.testing.assert_allclose(null.weights, 1 / N_K)
    assert null.norms is norms


@pytest.mark.parametrize(
    ("ids", "period"),
    [([4, 5, 6, 4, 5, 6], 3), ([4, 4, 4], 1), ([4, 5, 4, 7, 5, 4], None), ([4, 5, 6], None)],
)
def test_the_period_of_copies(ids, period):
    n = len(ids)
    causal = parse("causal").visible(np.arange(n), np.arange(n))
    context = MetricContext(causal, ids=np.array(ids))
    sums = MetricSums([METRICS["induction"]], 1)
    for rows in (slice(0, 2), slice(2, n)):
        part = sums.fork()
        part.add_null(context.block(rows))
        part.add(context.block(rows).even, slice(0, 1))
        sums.merge(part)
    (found,) = sums.finish(context).positions["period"]
    assert found == pytest.approx(period or np.nan, nan_ok=True)


def test_what_is_known_of_a_block_can_be_forgotten():
    """Not when cycles are collected: of texts that repeat themselves it is megabytes a block."""
    whole = MetricContext(np.tri(N_K, dtype=bool), ids=np.arange(N_K) % 3)
    block = whole.block(slice(2, N_Q))
    sums = MetricSums(METRICS.values(), N_HEAD, False)
    gc.collect()
    gc.disable()
    try:
        sums.add_null(block)
        block.forget()
        known = weakref.ref(block)
        del block
        assert known() is None
    finally:
        gc.enable()
