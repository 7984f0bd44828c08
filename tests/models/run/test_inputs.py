"""Texts and ids -> what a transformer reads: segments, and pairs of which one is empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.inputs import as_input, read_text
from tests.conftest import GOLDEN

FAMILIES = GOLDEN / "families"
IDS, PAIR = [5, 6, 7], [8, 9]


def test_a_table_of_one_segment_gives_every_token_that_segment():
    """RoBERTa's: transformers gives it no `token_type_ids`, which it reads as zeros."""
    both = attnviz.run(IDS, pair=PAIR, model=str(FAMILIES / "roberta"))
    joined = attnviz.run(IDS + PAIR, model=str(FAMILIES / "roberta"))
    for one, other in zip(both, joined, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize("family", ["bert", "electra", "albert"])
def test_where_there_are_two_segments_they_count(family):
    both = attnviz.run(IDS, pair=PAIR, model=str(FAMILIES / family), hidden_states=True)
    joined = attnviz.run(IDS + PAIR, model=str(FAMILIES / family), hidden_states=True)
    first, second = both.hidden_states["encoder"][0], joined.hidden_states["encoder"][0]
    np.testing.assert_array_equal(first[: len(IDS)], second[: len(IDS)])
    assert not np.isclose(first[len(IDS) :], second[len(IDS) :]).all()


@pytest.mark.parametrize("family", ["gpt2", "llama", "distilbert", "opt"])
def test_without_segments_a_pair_is_one_text(family):
    both = attnviz.run(IDS, pair=PAIR, model=str(FAMILIES / family))
    joined = attnviz.run(IDS + PAIR, model=str(FAMILIES / family))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(both, joined, strict=True))


def test_a_segment_that_the_table_does_not_have():
    model = load_model(str(FAMILIES / "bert"))
    tokens = read_text(model, IDS, PAIR)
    with pytest.raises(AttnvizError, match=r"knows the segments 0 to 1, and .* the segment 2"):
        as_input(model, replace(tokens, segments=(0, 0, 0, 2, 2)))


@pytest.mark.parametrize("pair", ["", []])
@pytest.mark.parametrize("name", ["tagger", "random", str(FAMILIES / "bert")])
def test_an_empty_pair_is_none(name, pair):
    text = "I saw" if name in ("tagger", "random") else IDS
    model = load_model(name)
    assert read_text(model, text, pair) == read_text(model, text)
