"""The script that trains `phrases` runs, gives the same bytes for the same seed, and its grammar
knows where each word comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file

from attnviz.tokens import split_words

pytest.importorskip("torch")

TRAINING = Path(__file__).parents[2] / "samples" / "training"


@pytest.fixture
def grammar(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TRAINING))
    import phrases_grammar

    return phrases_grammar


def train(folder: Path) -> list[object]:
    """The card without its time, and the bytes of the other files."""
    command = [sys.executable, str(TRAINING / "phrases.py"), "--out", str(folder), "--steps", "2"]
    command += ["--n-test", "20", "--golden", str(folder.with_suffix(".npz"))]
    run = subprocess.run(command, capture_output=True, text=True, cwd=TRAINING.parents[1])
    assert run.returncode == 0, run.stderr
    card = json.loads((folder / "card.json").read_text("utf-8"))
    del card["training_seconds"]
    paths = folder / "model.safetensors", folder / "config.json", folder.with_suffix(".npz")
    return [card, *(path.read_bytes() for path in paths)]


def test_trains_to_the_same_files_twice(tmp_path: Path) -> None:
    first, second = train(tmp_path / "first"), train(tmp_path / "second")
    assert first == second
    card, config = first[0], json.loads(first[2])
    tensors = load_file(tmp_path / "first" / "model.safetensors")
    assert config["model_type"] == "attnviz"
    assert config["source"]["reads"] == "characters"
    assert config["source"]["characters"][0] == config["target"]["words"][0] == "[UNK]"
    assert tensors["source.tokens"].shape[0] == len(config["source"]["characters"])
    assert tensors["output.weight"].shape[0] == len(config["target"]["words"])
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float16")}
    assert card["n_byte"] == len(first[1]) <= 350 * 1024
    assert card["figures"].keys() == card["figures_text"].keys()


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
