"""Head facts on matrices worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.distributions import entropy, spread_evenly
from attnviz.analysis.informative import (
    choose_heads,
    head_information,
    information_of_heads,
    most_informative,
)
from attnviz.analysis.metrics import MetricContext, pattern
from attnviz.nn.masks import parse
from attnviz.nn.site import RecordId, Site
from attnviz.trace.record import Record
from attnviz.trace.selection import Selection, parse_selection

N = 8


def record(*matrices, mask=None):
    weights = np.array(matrices, np.float64)
    rules = () if mask is None else ("causal",)
    site = Site(RecordId("array", 0, "self"), "x", "x", len(weights), len(weights), rules)
    return Record(site, weights=weights, mask=mask)


UNIFORM, DIAGONAL = np.full((N, N), 1 / N), np.eye(N)
SINK = np.eye(N)[np.zeros(N, int)]
CAUSAL = parse("causal").visible(np.arange(N), np.arange(N))


def test_entropy_in_nats():
    np.testing.assert_allclose(entropy(np.full(128, 1 / 128)), 4.852, atol=5e-4)
    np.testing.assert_allclose(entropy(np.array([0.5, 0.5, 0])), np.log(2))
    assert entropy(np.array([1.0, 0])) == 0
    assert np.isnan(entropy(np.array([np.nan, 1.0])))


@pytest.mark.parametrize(
    ("matrix", "expected_entropy", "telling"),
    [(UNIFORM, np.log(N), 0), (DIAGONAL, 0, np.log(N)), (SINK, 0, 0)],
    ids=["uniform", "diagonal", "sink"],
)
def test_extremes(matrix, expected_entropy, telling):
    facts = head_information(record(matrix), 0)
    np.testing.assert_allclose(
        [facts.entropy, facts.mutual_information], [expected_entropy, telling], atol=1e-12
    )
    np.testing.assert_allclose(facts.max_entropy, np.log(N))


def test_an_even_spread_under_a_mask_tells_nothing():
    """Its rows differ because the mask makes them differ."""
    facts = head_information(record(spread_evenly(CAUSAL), mask=CAUSAL), 0)
    assert facts.mutual_information == pytest.approx(0, abs=1e-12)
    assert facts.entropy == pytest.approx(facts.max_entropy)
    assert facts.max_entropy == pytest.approx(np.log(np.arange(2, N + 1)).mean())


def test_the_most_telling_head_is_the_diagonal():
    facts = information_of_heads([record(UNIFORM, SINK, DIAGONAL, UNIFORM)], Selection())
    assert [f.head for f in facts] == [0, 1, 2, 3]
    found = most_informative(facts, 2)
    assert found[0].head == 2
    assert len(found) == 2


def test_one_token_has_no_facts():
    assert np.isnan(head_information(record(np.ones((1, 1))), 0).entropy)


def test_blocks_change_nothing(monkeypatch, generator):
    weights = generator.random((N, N))
    whole = head_information(record(weights / weights.sum(-1, keepdims=True), mask=CAUSAL), 0)
    monkeypatch.setattr(pattern, "BLOCK_CELLS", 1)
    assert len(MetricContext(CAUSAL).blocks()) == N
    cut = head_information(record(weights / weights.sum(-1, keepdims=True), mask=CAUSAL), 0)
    np.testing.assert_allclose(cut[2:], whole[2:])


def test_reading_leaves_every_array_as_it_was(saw):
    before = {name: array.copy() for name, array in saw.arrays().items()}
    information_of_heads(saw.records, Selection())
    for name, array in saw.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_effective_keys_of_an_even_spread():
    assert head_information(record(UNIFORM), 0).effective_keys == pytest.approx(N)


def test_a_few_heads_are_all_chosen_and_of_more_the_most_informative():
    records = [record(UNIFORM, DIAGONAL, SINK)]
    everything = choose_heads(records, Selection(), 3)
    assert everything.are_all
    assert [each.head for each in everything.heads] == [0, 1, 2]
    assert not everything.information
    best = choose_heads(records, Selection(), 1)
    assert not best.are_all
    assert [each.head for each in best.heads] == [1]
    assert len(best.information) == 3
    one = choose_heads(records, parse_selection(["L0.H2"]), 0)
    assert [each.head for each in one.heads] == [2]


def test_heads_without_weights_are_chosen_and_nothing_is_known_of_them():
    bare = Record(record(UNIFORM).site, scores=UNIFORM[None])
    (chosen,) = choose_heads([bare], Selection(), 2).heads
    assert np.isnan(chosen.entropy)
