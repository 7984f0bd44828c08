"""Shapes of tasks: as many answers as the models themselves give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attnviz
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.lessons import sequence
from attnviz.lessons.kit import DIGIT, read_drawing
from attnviz.models import load_model
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from attnviz.views.kinds import Table


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from(["I", "saw", "a", "dog", "who", "slept"]), min_size=1, max_size=30))
def test_a_tag_for_every_word(take, words):
    lesson = take("sequence", text=" ".join(words))
    assert all(claim.holds for claim in lesson.claims)
    rows = tables(lesson)[1].rows
    assert [row[1] for row in rows] == ["[BOS]", *words, "[EOS]"]
    assert [bool(row[2]) for row in rows] == [False, *[True] * len(words), False]


def test_the_three_answers(take):
    lesson = take("sequence")
    shapes, tags, classes, steps = tables(lesson)
    assert [row[2] for row in tags.rows] == ["", "PRON", "VERB", "DET", "NOUN", ""]
    trace = attnviz.run(image=read_drawing(DIGIT), model="digits", dtype="float64", logits=True)
    exps = np.exp(trace.logits[0])
    assert classes.rows[0] == ("3", pytest.approx(exps[3] / exps.sum(), abs=1e-9))
    assert steps.title == "n to m: the decoder writes “I saw a saw”"
    assert [row[3:] for row in shapes.rows] == [(6, 6), (17, 1), (len("我看见了一把锯子") + 1, 5)]


@pytest.mark.parametrize("phrase", ["你好！", "早上好！"])
def test_other_phrases_have_other_lengths(take, phrase):
    model = load_model("phrases")
    written = generate(model, read_text(model, phrase)).written
    lesson = take("sequence", phrase=phrase)
    assert [row[1] for row in tables(lesson)[3].rows] == list(written.labels)
    assert tables(lesson)[0].rows[2][4] == len(written)


def test_a_tag_that_is_missing_is_found(take, monkeypatch):
    right = sequence.forward

    def fewer(prepared, **options):
        trace = right(prepared, **options)
        if prepared.model.task == "tag":
            object.__setattr__(trace, "logits", trace.logits[:, :-1])
        return trace

    monkeypatch.setattr(sequence, "forward", fewer)
    assert [claim.holds for claim in take("sequence").claims] == [False, True, True]


def test_claims_that_fail(capsys, monkeypatch):
    """A classifier that answers from the last patch, and a decoder that is stopped."""
    right = sequence.forward

    def late(prepared, **options):
        trace = right(prepared, **options)
        states = {name: [each[::-1] for each in of] for name, of in trace.hidden_states.items()}
        object.__setattr__(trace, "hidden_states", states)
        return trace

    monkeypatch.setattr(sequence, "forward", late)
    monkeypatch.setattr(sequence, "generate", lambda *given: generate(*given, max_tokens=2))
    assert run_cli(["learn", "sequence"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("NO") - out.count("NOUN") == 2
    assert "stopped after 2" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "a " * 99}, "text: expected 1 to 64 tokens, got"),
        ({"phrase": ""}, "no tokens|empty"),
        ({"drawing": "3"}, "expected 8 rows"),
    ],
)
def test_what_does_not_fit(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("sequence", **options)


def test_what_to_expect_of_other_texts(take):
    greeting = take("sequence", phrase="早上好！")
    assert tables(greeting)[0].rows[2][3:] == (5, 4)
    assert "“Good morning!”" in tables(greeting)[3].title
    assert tables(take("sequence", text="the old man saw a dog"))[0].rows[0][3:] == (8, 8)
