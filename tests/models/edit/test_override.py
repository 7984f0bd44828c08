"""A trained model with other attention: what the change does, and which changes it cannot take."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.edit.override import CHANGES, hide, override
from attnviz.nn.masks import parse
from attnviz.nn.scores import SCORES
from attnviz.running import run

TEXT = "I saw a saw"


@pytest.fixture(scope="module")
def model():
    return load_model("tagger", {"dtype": "float64"})


def first(model, stages=("scores", "weights")):
    return run(TEXT, model=model, stages=stages, fingerprint=False)["encoder.0.self"]


def test_a_temperature_divides_the_scores(model):
    np.testing.assert_allclose(
        first(override(model, {"temperature": 4.0})).scores, first(model).scores / 4, atol=1e-12
    )


def test_a_softcap_and_a_mask(model):
    changed = first(override(model, {"softcap": 0.5, "mask": "causal"}), ("logits", "weights"))
    visible = np.tri(changed.weights.shape[-1], dtype=bool)
    assert (abs(changed.logits[:, visible]) <= 0.5).all()
    assert (changed.weights[:, ~visible] == 0).all()


def test_a_score_is_another(model):
    d_k = first(model, ("q",)).q.shape[-1]
    dot = first(override(model, {"score": "dot"})).scores
    np.testing.assert_allclose(dot, first(model).scores * np.sqrt(d_k), atol=1e-12)


def test_the_model_says_what_was_changed(model):
    changed = override(model, {"temperature": 2.0})
    assert changed.notes[-1] == "changed from what it was trained with: temperature = 2.0"
    assert changed.shape["changed"] == {"temperature": 2.0}
    assert "changed" not in model.shape


def test_what_is_hidden_is_hidden_besides_the_own_mask():
    model = load_model("induction")
    trace = run("abcab", model=hide(model, parse("window:size=2")), fingerprint=False)
    weights = trace["decoder.0.self"].weights
    n = weights.shape[-1]
    distance = np.arange(n)[:, None] - np.arange(n)
    assert (weights[:, (distance < 0) | (distance >= 2)] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"layers": 3}, "tagger is trained: its layers cannot be changed", CHANGES),
        (
            {"score": "additive"},
            "'additive' has learned arrays",
            [name for name, entry in SCORES.items() if not entry.arrays],
        ),
        ({"temperature": 0.0}, "temperature", ["1"]),
    ],
    ids=["weights", "arrays", "range"],
)
def test_what_it_cannot_take(model, changes, message, hint):
    with pytest.raises(AttnvizError, match=message) as error:
        override(model, changes)
    assert all(name in error.value.hint for name in hint)


def test_without_attention():
    with pytest.raises(AttnvizError, match="has no attention") as error:
        override(load_model("tagger-word"), {"temperature": 2.0})
    assert "-m tagger" in error.value.hint
