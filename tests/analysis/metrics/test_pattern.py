"""Sums that metrics are made of, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics.pattern import MetricContext, Pattern, inner
from attnviz.nn.masks import parse

N_TEXT, N_HEAD, N_Q, N_K = 2, 3, 5, 7


@pytest.fixture
def weights(generator):
    return generator.random((N_TEXT, N_HEAD, N_Q, N_K))


@pytest.mark.parametrize("n_template", [1, N_HEAD])
def test_inner_products_of_heads_with_one_template_or_one_each(weights, n_template, generator):
    template = generator.random((N_TEXT, n_template, N_Q, N_K))
    found = inner(weights, template)
    for text in range(N_TEXT):
        for head in range(N_HEAD):
            expected = (weights[text, head] * template[text, head % n_template]).sum()
            assert found[text, head] == pytest.approx(expected)


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
    assert np.isnan(pattern.mass(None).value).all()


def test_offsets_count_from_the_position_of_the_first_query():
    visible = np.ones((N_Q, N_K), bool)
    offset = MetricContext(visible, first=2).offset
    assert [[offset[i, j] for j in range(N_K)] for i in range(N_Q)] == [
        [j - (i + 2) for j in range(N_K)] for i in range(N_Q)
    ]
    assert MetricContext(visible, first=None).offset is None


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
    assert MetricContext(causal, ids=np.array(ids)).period == period
