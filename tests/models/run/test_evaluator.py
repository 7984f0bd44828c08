"""Passes that go on where another left off, against whole ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.models import load_model
from attnviz.models.edit.ablate import ablate, zero
from attnviz.models.run.evaluator import Evaluator, ResumableForward
from attnviz.models.run.probe import make_probe
from attnviz.nn.site import RecordId
from attnviz.trace.selection import Head
from tests.conftest import HERE


@pytest.mark.parametrize(
    ("name", "text"),
    [("induction", "abcabdabc"), ("phrases", "我看见了一把锯子"), ("tagger", "I saw")],
)
def test_a_pass_that_goes_on_is_a_whole_pass(name, text):
    model = load_model(name)
    probe = make_probe(model, text)
    transformer = model.transformer
    resumed = ResumableForward(transformer, probe.inputs)
    heads = [Head(site.id, h) for site in transformer.sites() for h in range(site.n_head)]

    @settings(max_examples=20, deadline=None)
    @given(lost=st.sets(st.sampled_from(heads), max_size=5))
    def holds(lost):
        changed = ablate(transformer, lost, zero)
        whole = changed(*probe.inputs.values(), hidden_states=True, logits=True)
        np.testing.assert_array_equal(resumed(changed), list(whole.hidden_states.values())[-1][-1])
        np.testing.assert_array_equal(
            Evaluator(model, probe)(changed), whole.logits[probe.positions]
        )

    holds()


def test_nothing_is_computed_where_nothing_changed(monkeypatch):
    model = load_model("phrases")
    probe = make_probe(model, "你好！")
    passes, blocks = Evaluator(model, probe), []
    real = type(model.transformer.decoder).__call__

    def counted(stack, *arguments, **named):
        blocks.append((stack.name, len(stack.blocks)))
        return real(stack, *arguments, **named)

    monkeypatch.setattr(type(model.transformer.decoder), "__call__", counted)
    passes(model.transformer)
    assert blocks == []
    passes(ablate(model.transformer, [Head(RecordId("decoder", 1, "cross"), 0)], zero))
    assert blocks == [("decoder", 1)]
    passes(ablate(model.transformer, [Head(RecordId("encoder", 1, "self"), 0)], zero))
    assert blocks[1:] == [("encoder", 1), ("decoder", 2)]


def test_images_and_models_without_output():
    digits, image = load_model("digits"), HERE.parent / "samples" / "digits" / "3.png"
    probe = make_probe(digits, str(image))
    logits = Evaluator(digits, probe)(digits.transformer)
    assert logits.shape == (1, 10)
    assert logits.argmax() == 3
    model = load_model("random")
    probe = make_probe(model, "I saw a saw")
    assert Evaluator(model, probe)(model.transformer).shape == (4, 32)
