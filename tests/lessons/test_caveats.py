"""When weights mislead: what is shown is what the models did."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attnviz
from attnviz.errors import AttnvizError
from attnviz.lessons import caveats
from attnviz.models import load_model
from attnviz.nn.transformer import attentions
from attnviz.views.kinds import Heatmap, Table

WORDS = ("the", "a", "old", "dog", "man", "saw", "tree", "river", "had", "left", "I", "his")


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


def drawn(lesson):
    """The weights as computed and the others, [2, n_k]."""
    return next(view for view in lesson.views if isinstance(view, Heatmap)).values


def holds(take, **options):
    return [claim.holds for claim in take("caveats", **options).claims]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=15, max_size=40))
def test_claims_hold_of_any_text(take, words):
    assert holds(take, text=" ".join(words)) == [True] * 4


def test_a_short_text_with_a_word_twice(take):
    """The two have one value in the first layer: what one gets, the other can."""
    lesson = take("caveats", text="I saw a saw")
    rows = drawn(lesson)
    np.testing.assert_allclose(rows[0, [2, 4]].sum(), rows[1, [2, 4]].sum(), atol=1e-12)
    np.testing.assert_allclose(rows[0, [0, 1, 3, 5]], rows[1, [0, 1, 3, 5]], atol=1e-12)
    assert rows[1].min() == pytest.approx(0, abs=1e-12)


def test_the_output_that_is_the_same(take):
    """The row's context, from the values of a run of its own."""
    text, query, head = "the dog that saw the old man saw " * 3, 5, 3
    lesson = take("caveats", text=text, query=query, head=head)
    record = attnviz.run(text, dtype="float64", stages=("weights", "v"))["encoder.0.self"]
    given_row, others = drawn(lesson)
    np.testing.assert_allclose(given_row, record.weights[head, query], atol=1e-12)
    np.testing.assert_allclose(given_row @ record.v[head], others @ record.v[head], atol=1e-12)
    assert np.abs(given_row - others).max() > 0.01


def test_lengths_by_a_loop(take):
    text = "I saw the dog that I saw"
    model = load_model("tagger", {"dtype": "float64"})
    record = attnviz.run(text, model=model, stages=("weights", "v"))["encoder.0.self"]
    output = next(attentions(model.transformer.encoder.blocks[0])).output.weight
    rows = tables(take("caveats", text=text, head=2, query=1))[1].rows
    adds = []
    for place, row in enumerate(rows):
        vector = np.asarray(output)[:, 32:48] @ record.v[2, place]
        assert row[1] == pytest.approx(record.weights[2, 1, place], abs=1e-12)
        assert row[2] == pytest.approx(np.sqrt((vector**2).sum()), rel=1e-9)
        adds.append(row[1] * row[2])
    assert [row[3] for row in rows] == pytest.approx(np.array(adds) / sum(adds), abs=1e-12)


def test_an_even_spread_by_a_loop(take):
    n = 1 + len(caveats.LETTERS)
    even = sum(1 / (i + 1) for i in range(1, n)) / (n - 1)
    assert [row[2] for row in tables(take("caveats"))[0].rows] == pytest.approx([even] * 4)


def test_weights_that_change_the_output_are_found(take, monkeypatch):
    def careless(weights, values):
        return np.roll(weights, 1)

    monkeypatch.setattr(caveats, "other_weights", careless)
    assert holds(take)[2:] == [False, False]


def test_weights_that_are_not_a_distribution_are_found(take, monkeypatch):
    right = caveats.forward

    def negative(prepared, **options):
        """A layer that reports weights below 0 for the same context."""
        trace = right(prepared, **options)
        record = trace["encoder.0.self"]
        object.__setattr__(record, "weights", np.asarray(record.weights) - 0.2)
        return trace

    monkeypatch.setattr(caveats, "forward", negative)
    assert holds(take)[2] is False


def test_values_of_one_length_are_found(take, monkeypatch):
    """The first claim and the second are about the vectors' lengths."""
    right = caveats.projected_values

    def even(record, attention):
        values = right(record, attention)
        return values / np.linalg.norm(values, axis=-1, keepdims=True)

    monkeypatch.setattr(caveats, "projected_values", even)
    assert holds(take) == [False, False, True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "dogs bark"}, "4 tokens have no values that can stand for others"),
        ({"text": "dog " * 99}, "text: expected 1 to 64 tokens, got"),
        ({"query": 99}, "query: expected 0 to"),
        ({"head": 4}, "head: expected 0 to 3"),
    ],
)
def test_what_does_not_fit(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("caveats", **options)


def test_what_to_expect_of_the_sink_taken_out(cli):
    data = json.loads(
        cli("ablate", caveats.LETTERS, "-m", "induction", "-s", "L0", "--json").stdout
    )
    kl = [values[data["effects"].index("kl")] for values in data["arrays"]["without"]]
    assert [round(kl[1], 3), round(kl[2], 2)] == [0.004, 6.36]


def test_what_to_expect_of_another_row(take):
    table = tables(take("caveats", query=10, head=2))[1]
    rows = table.rows
    assert table.notes[-1] == "the largest weight is on 3 a; 6 the contributes most"
    heaviest, greatest = (max(rows, key=lambda row: row[i]) for i in (1, 3))
    assert (heaviest[0], round(heaviest[1], 3)) == ("3 a", 0.091)
    assert (greatest[0], round(greatest[1], 3), round(greatest[3], 3)) == ("6 the", 0.081, 0.126)
