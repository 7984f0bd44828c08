"""Passes that go on where another left off, against whole ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.models import load_model
from attnviz.models.ablate import ablate, zero
from attnviz.models.passes import Passes, Resumed
from attnviz.models.questions import ask
from attnviz.selection import Head
from tests.conftest import HERE


@pytest.mark.parametrize(
    ("name", "text"),
    [("induction", "abcabdabc"), ("phrases", "我看见了一把锯子"), ("tagger", "I saw")],
)
def test_a_pass_that_goes_on_is_a_whole_pass(name, text):
    model = load_model(name)
    question = ask(model, text)
    transformer = model.transformer
    resumed = Resumed(transformer, *question.given)
    heads = [Head(site.id, h) for site in transformer.sites() for h in range(site.n_head)]

    @settings(max_examples=20, deadline=None)
    @given(lost=st.sets(st.sampled_from(heads), max_size=5))
    def holds(lost):
        changed = ablate(transformer, lost, zero)
        whole = changed(*question.given, hidden_states=True, logits=True)
        np.testing.assert_array_equal(resumed(changed), list(whole.hidden_states.values())[-1][-1])
        np.testing.assert_array_equal(
            Passes(model, question)(changed), whole.logits[question.places]
        )

    holds()


def test_nothing_is_computed_where_nothing_changed(monkeypatch):
    model = load_model("phrases")
    question = ask(model, "你好！")
    passes, blocks = Passes(model, question), []
    real = type(model.transformer.decoder).__call__

    def counted(stack, *arguments, **named):
        blocks.append((stack.name, len(stack.blocks)))
        return real(stack, *arguments, **named)

    monkeypatch.setattr(type(model.transformer.decoder), "__call__", counted)
    passes(model.transformer)
    assert blocks == []
    passes(ablate(model.transformer, [Head("decoder.1.cross", 0)], zero))
    assert blocks == [("decoder", 1)]
    passes(ablate(model.transformer, [Head("encoder.1.self", 0)], zero))
    assert blocks[1:] == [("encoder", 1), ("decoder", 2)]


def test_images_and_models_without_output():
    digits, image = load_model("digits"), HERE.parent / "samples" / "digits" / "3.png"
    question = ask(digits, str(image))
    logits = Passes(digits, question)(digits.transformer)
    assert logits.shape == (1, 10)
    assert logits.argmax() == 3
    model = load_model("random")
    question = ask(model, "I saw a saw")
    assert Passes(model, question)(model.transformer).shape == (4, 32)
