"""Texts longer than what a model was trained for."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.edit.extrapolate import extrapolate
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from tests.conftest import GOLDEN

FAMILIES = GOLDEN / "families"
GO_ON = ("llama", "llama-3", "llama-yarn", "gpt_neox", "mistral", "gemma2", "phi3-long")
N = 61


def ids(n):
    return [7 + 3 * i % 11 for i in range(n)]


@pytest.mark.parametrize("family", GO_ON)
def test_where_positions_go_on_more_tokens_are_read(family):
    """The first rows of a causal model do not depend on what comes later, as long as its rotations
    do not; and further ones are of the same kind."""
    model = load_model(str(FAMILIES / family))
    with pytest.raises(AttnvizError, match=f"61 tokens; {family} reads at most {model.max_tokens}"):
        attnviz.run(ids(N), model=model)
    trace = attnviz.run(ids(N), model=model, extrapolate=True)
    assert any(f"{N} tokens: it was trained on at most" in note for note in trace.model.notes)
    weights = trace.records[0].weights
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    short = attnviz.run(ids(model.max_tokens), model=model)
    assert not any("was trained on" in note for note in short.model.notes)
    if family != "phi3-long":
        n = model.max_tokens
        np.testing.assert_allclose(weights[:, :n, :n], short.records[0].weights, atol=1e-6)


def test_both_sides_of_a_translator_with_sines():
    model = load_model(str(FAMILIES / "marian"))
    for texts in ({"target": ids(3)}, {"target": ids(N)}):
        with pytest.raises(AttnvizError, match="61 tokens") as caught:
            attnviz.run(ids(N if len(texts["target"]) == 3 else 5), model=model, **texts)
        assert "--extrapolate" in caught.value.hint
        trace = attnviz.run(ids(N), model=model, extrapolate=True, **texts)
        assert any("was trained on at most 37" in note for note in trace.model.notes)


@pytest.mark.parametrize(
    "family", ["gpt2", "bert", "roberta", "opt", "bart", "distilbert", "bert-relative_key"]
)
def test_a_table_of_positions_ends(family):
    model = load_model(str(FAMILIES / family))
    with pytest.raises(AttnvizError, match="reads at most") as caught:
        attnviz.run(ids(N), model=model)
    assert caught.value.hint == "shorten the text"
    with pytest.raises(AttnvizError, match=f"{family} looks positions up in a table of"):
        extrapolate(model)


def test_what_has_no_limit_stays_as_it_is():
    for name in ("random", "digits", "random:positions=alibi", "random:positions=t5"):
        model = load_model(name)
        assert extrapolate(model) is model
    with pytest.raises(AttnvizError, match="a table of 512"):
        extrapolate(load_model("random:positions=learned"))


def test_rotations_that_grow_with_the_text_are_those_of_the_whole_text():
    """A decoder writes the same with a cache, whose keys would be of a shorter text, and without."""
    model = extrapolate(load_model(str(FAMILIES / "llama-dynamic")))
    source = read_text(model, ids(39))
    with_cache = generate(model, source, max_tokens=7)
    without = generate(model, source, max_tokens=7, cache=None)
    assert [step.id for step in with_cache.steps] == [step.id for step in without.steps]
    np.testing.assert_allclose(
        [step.probability for step in with_cache.steps],
        [step.probability for step in without.steps],
        rtol=1e-5,
    )


def test_t5_ends_where_its_config_says(tmp_path):
    import json
    import shutil

    folder = shutil.copytree(FAMILIES / "t5", tmp_path / "t5")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "n_positions": 37}))
    with pytest.raises(AttnvizError, match="61 tokens; t5 reads at most 37") as caught:
        attnviz.run(ids(N), model=str(folder), target=ids(3))
    assert "--extrapolate" in caught.value.hint
    longer = attnviz.run(ids(N), model=str(folder), target=ids(3), extrapolate=True)
    unlimited = attnviz.run(ids(N), model=str(FAMILIES / "t5"), target=ids(3))
    for one, other in zip(longer, unlimited, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
