"""The table of a mixture's experts beside the matrices."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import attnviz
from attnviz.analysis.words import merge_words
from attnviz.nn.multi_head import Routing
from attnviz.trace.selection import parse_selection
from attnviz.trace.spans import Zoom, parse_span
from attnviz.views.attention import attention_views
from attnviz.views.kinds import Table
from attnviz.views.routing import routing_views
from tests.conftest import GOLDEN

MIXTURE = str(GOLDEN / "families" / "qwen2_moe-window")  # layer 1 of 3 is no mixture
IDS = [7, 9, 21, 33, 12]


@pytest.fixture(scope="module")
def trace():
    return attnviz.run(IDS, model=MIXTURE)


def tables(trace, *select):
    views = attention_views(trace, parse_selection(select))
    return [view for view in views if isinstance(view, Table)]


def test_every_choice_with_its_weight(trace):
    (table,) = tables(trace, "L2.H1")
    routing = trace.routing["decoder.2"]
    assert table.title == "experts of L2: each token was sent to 2 of 5"
    for token, row in enumerate(table.rows):
        found = [pair.split("\u00a0") for pair in row[2].split(", ")]
        assert row[:2] == (token, f"#{IDS[token]}")
        assert [int(expert) for expert, _ in found] == routing.experts[token].tolist()
        shown = [float(weight) for _, weight in found]
        np.testing.assert_allclose(shown, routing.weights[token], atol=0.005)
    counts = {int(e): int(n) for e, n in re.findall(r"(\d+) \((\d+)\)", table.notes[0])}
    used = np.bincount(routing.experts.ravel(), minlength=5)
    assert counts == {e: n for e, n in enumerate(used) if n and e in counts}
    assert max(counts.values()) == used.max()


def test_only_of_layers_that_are_shown_and_have_one(trace):
    assert tables(trace, "L1.H1") == []
    assert [table.title[:13] for table in tables(trace, "L0.H1,L2.H0,L2.H3")] == [
        "experts of L0",
        "experts of L2",
    ]


def test_only_the_rows_that_are_shown(trace):
    records = [trace["decoder.2.self"]]
    (table,) = routing_views(trace, records, Zoom(rows=parse_span("1,3", "--rows")))
    assert [row[0] for row in table.rows] == [1, 3]


def test_of_a_long_text_the_ends(trace):
    n = 250
    tokens = trace.streams["source"].__class__.of([f"t{i}" for i in range(n)], range(n))
    long = trace.__class__(
        trace.model,
        {"source": tokens},
        (),
        routing={"decoder.2": Routing(np.zeros((n, 1), int), np.ones((n, 1)), 3)},
    )
    (table,) = routing_views(long, [trace["decoder.2.self"]], Zoom())
    assert [row[0] for row in table.rows] == [*range(40), *range(242, 250)]
    assert any("202 tokens" in note for note in table.notes)


def test_words_have_no_experts(trace):
    tokens = trace.streams["source"]
    words = tokens.__class__.of(
        tokens.tokens, tokens.ids, words=(0, 0, 1, 2, 3), word_labels=("a", "b", "c", "d")
    )
    merged = merge_words(replace(trace, streams={"source": words}))
    assert merged.routing == {}
