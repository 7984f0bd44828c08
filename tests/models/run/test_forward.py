"""What a run says of a model that reads more than it was trained on, and of its memory."""

from __future__ import annotations

import pytest

from attnviz.models import load_model
from attnviz.models.run.forward import run
from attnviz.models.run.inputs import read_text
from attnviz.models.run.memory import plan_run


@pytest.mark.parametrize(("n_letter", "told"), [(64, False), (65, True)])
def test_trained_tokens(n_letter, told):
    """[BOS] counts; the length that it was trained on is not beyond it."""
    notes = run("a" * n_letter, model="induction").model["notes"]
    assert any("trained on at most 65" in note for note in notes) is told


def test_the_plan_grows_with_what_is_kept():
    model = load_model("random")
    streams = {"source": read_text(model, "I saw a saw")}
    sizes = [
        plan_run(model, streams, stages).n_byte
        for stages in ((), ("weights",), ("weights", "scores"))
    ]
    matrices = 2 * 4 * 4 * 4 * 4  # layers, heads, queries, keys, bytes
    assert sizes[1] - sizes[0] == matrices
    assert sizes[2] - sizes[1] == matrices


def test_logits_are_kept_when_they_are_asked_for():
    assert run("I saw").logits is None
    assert run("I saw", logits=True).logits.shape == (4, 15)
    assert run("I saw").streams["source"].tags == ("", "PRON", "VERB", "")


def test_ids_say_nothing_of_the_spelling():
    ids = run("I saw").streams["source"].ids
    assert any("spelling" in note for note in run(ids).model["notes"])
