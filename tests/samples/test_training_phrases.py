"""The script that trains `phrases` runs, gives the same bytes for the same seed, and its grammar
knows where each word comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from attnviz.tokens import split_words

pytest.importorskip("torch")

TRAINING = Path(__file__).parents[2] / "samples" / "training"


@pytest.fixture
def grammar(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TRAINING))
    import phrases_grammar

    return phrases_grammar


def test_trains_to_the_same_files_twice(train: Callable[..., Any]) -> None:
    options = ("--steps", "2", "--n-test", "20")
    first, second = (train("phrases", name, *options) for name in ("first", "second"))
    assert first == second
    config, tensors = json.loads(first.config), load(first.weights)
    assert config["model_type"] == "attnviz"
    assert config["source"]["reads"] == "characters"
    assert config["source"]["characters"][0] == config["target"]["words"][0] == "[UNK]"
    assert tensors["source.tokens"].shape[0] == len(config["source"]["characters"])
    assert tensors["output.weight"].shape[0] == len(config["target"]["words"])
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float16")}
    assert len(first.weights) <= 350 * 1024


def test_a_phrase_has_its_alignment(grammar: ModuleType) -> None:
    rng = Random(3)
    for _ in range(2000):
        example = grammar.sample(rng)
        assert split_words(" ".join(example.target)) == list(example.target), example
        assert len(example.alignment) == len(example.target)
        positions = {i for origins in example.alignment for i in origins}
        assert positions <= set(range(len(example.source)))
        assert len(example.source) <= grammar.MAX_CHARACTERS


def test_one_phrase_has_one_translation(grammar: ModuleType) -> None:
    rng, known = Random(4), {}
    for _ in range(5000):
        example = grammar.sample(rng)
        assert known.setdefault(example.source, example.target) == example.target, example.source


def test_no_clause_of_an_unseen_phrase_is_trained_on(grammar: ModuleType) -> None:
    def clauses(source: str) -> list[str]:
        bare = grammar.without_sign(source).removeprefix("因为")
        return bare.replace("，但是", "，所以").split("，所以")

    stream = grammar.training(Random(5))
    trained = {clause for _ in range(5000) for clause in clauses(next(stream).source)}
    unseen, pairs = grammar.unseen(300, seed=1), grammar.unseen_pairs(300, seed=1)
    assert not trained & {grammar.without_sign(example.source) for example in unseen}
    assert not trained & {grammar.without_sign(example.source) for example in pairs}
    assert unseen[:100] == grammar.unseen(100, seed=1), "the first ones do not depend on n"
    assert len({example.source for example in unseen}) == 300
