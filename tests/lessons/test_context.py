"""Three taggers on one text."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.lessons import context
from attnviz.models import PACKAGED
from attnviz.views.kinds import Heatmap, Table


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


def test_the_classic_text(take):
    tagged, accuracies = tables(take("context"))
    assert [row[0] for row in tagged.rows] == ["0 I", "1 saw", "2 a", "3 saw"]
    tags = [[cell.split()[0] for cell in row[1:]] for row in tagged.rows]
    assert tags[1] == ["VERB", "VERB", "VERB"]
    assert tags[3] == ["VERB", "NOUN", "NOUN"]
    assert tagged.rows[1][1] == tagged.rows[3][1]
    for column, name in enumerate(("tagger-word", "tagger-window", "tagger"), 2):
        figures = json.loads((PACKAGED / name / "card.json").read_text())["figures"]
        shown = [row[column] for row in accuracies.rows]
        names = ("accuracy", "accuracy_noun_or_verb", "accuracy_noun_or_verb_far")
        assert shown == [figures[key] for key in names]


def test_the_readers_text_beside_the_classic_one(take):
    lesson = take("context", text="We watch the watch")
    classic, own, _ = tables(lesson)
    assert classic == tables(take("context"))[0]
    trace = attnviz.run("We watch the watch", model="tagger")
    tags = [tag for tag in trace.streams["source"].tags if tag]
    assert [row[3].split()[0] for row in own.rows] == tags
    drawn = next(view for view in lesson.views if isinstance(view, Heatmap))
    np.testing.assert_array_equal(drawn.values, trace["encoder.1.self"].weights[2])
    assert "watch" in lesson.claims[2].text
    assert [claim.holds for claim in lesson.claims] == [True] * 4
    tags = [[cell.split()[0] for cell in own.rows[row][1:]] for row in (1, 3)]
    assert tags == [["VERB", "VERB", "VERB"], ["VERB", "NOUN", "NOUN"]]


@pytest.mark.parametrize(
    "text", ["the the", "no word twice", "buffalo buffalo buffalo", "[BOS] 看 看"]
)
def test_the_claims_hold_for_other_texts(take, text):
    assert [claim.holds for claim in take("context", text=text).claims] == [True] * 4


@pytest.mark.parametrize("text", ["", "  ", "a " * 31])
def test_texts_that_are_too_short_or_too_long(take, text):
    with pytest.raises(AttnvizError, match="text: expected 1 to 30 words"):
        take("context", text=text)


def test_the_claims_fail_if_the_word_alone_had_context(take, monkeypatch):
    right = context.run

    def wrong(text, *, model, **options):
        return right(text, model=model.replace("-word", "-window"), **options)

    monkeypatch.setattr(context, "run", wrong)
    assert [claim.holds for claim in take("context").claims] == [False, True, False, True]


def test_the_last_claim_fails_if_context_gains_little(take, monkeypatch):
    figures = context._figures()
    figures["tagger"]["accuracy_noun_or_verb"] = (
        figures["tagger-word"]["accuracy_noun_or_verb"] + 0.07
    )
    monkeypatch.setattr(context, "_figures", lambda: figures)
    assert [claim.holds for claim in take("context").claims] == [True, True, True, False]


@pytest.mark.parametrize("head", ["L0.H0", "L1.H3"])
def test_a_head_that_looks_elsewhere_is_noticed(take, monkeypatch, head):
    monkeypatch.setattr(context, "_best_head", lambda: (head, 0.9))
    assert [claim.holds for claim in take("context").claims] == [True, False, True, True]
