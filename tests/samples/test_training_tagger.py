"""The script that trains the taggers runs, and gives the same bytes for the same seed."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from attnviz.models.tokenizers.pieces import N_PIECE_OF_WORD, word_pieces

pytest.importorskip("torch")

TRAINING = Path(__file__).parents[2] / "samples" / "training"

NOUNS = ["dog", "cat", "house", "tree", "book", "saw", "watch", "hammer", "table", "river"]
VERBS = ["see", "read", "cut", "buy", "find", "book", "saw", "watch", "carry", "admire"]


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like WordNet's with a few dozen synsets: WordNet itself may not be installed."""
    folder = tmp_path_factory.mktemp("wordnet")
    rng = random.Random(0)
    lines: dict[str, list[str]] = {"noun": [], "verb": [], "adj": [], "adv": []}
    for part, words in (("noun", NOUNS), ("verb", VERBS)):
        for word in words:
            texts = [
                f"{rng.choice(['we', 'they', 'I', 'you'])} {rng.choice(VERBS) if part == 'noun' else word}"
                f" the {word if part == 'noun' else rng.choice(NOUNS)} {i}"
                for i in range(12)
            ]
            examples = "; ".join(f'"{text}"' for text in texts)
            lines[part].append(f"00000001 00 {part[0]} 01 {word} 0 000 | a gloss; {examples}  ")
    for part, synsets in lines.items():
        head = "  1 This software and database is being provided to you  \n"
        (folder / f"data.{part}").write_text(
            head + "".join(line + "\n" for line in synsets), "utf-8"
        )
        (folder / f"{part}.exc").write_text("saw see\n" if part == "verb" else "", "utf-8")
    return folder


def run(wordnet: Path, out: Path, model: str, *options: str) -> str:
    command = [sys.executable, str(TRAINING / "tagger.py"), "--wordnet", str(wordnet)]
    command += ["--model", model, "--out", str(out), "--steps", "3", *options]
    result = subprocess.run(command, capture_output=True, text=True, cwd=TRAINING.parents[1])
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("model", ["tagger", "tagger-window", "tagger-word"])
def test_writes_a_model_that_loads(wordnet: Path, tmp_path: Path, model: str) -> None:
    output = run(wordnet, tmp_path, model, "--also", "1")
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    card = json.loads((tmp_path / "card.json").read_text("utf-8"))
    tensors = load_file(tmp_path / "model.safetensors")
    assert config["model_type"] == "attnviz"
    assert config["task"] == "tag"
    assert config["source"]["words"][0] == "[UNK]"
    assert tensors["source.tokens"].shape[0] == len(config["source"]["words"])
    assert tensors["source.pieces"].shape[0] == config["source"]["n_piece"]
    assert tensors["output.weight"].shape[0] == len(config["labels"])
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float16")}
    assert card["n_byte"] == (tmp_path / "model.safetensors").stat().st_size
    assert card["figures"].keys() == card["figures_text"].keys()
    assert "accuracy_seed_1" in card["figures"]
    assert "I/" in output


def test_the_same_seed_gives_the_same_bytes(wordnet: Path, tmp_path: Path) -> None:
    files = []
    for name in ("first", "second"):
        folder = tmp_path / name
        golden, sample = folder / "golden.npz", folder / "sample.json.gz"
        run(wordnet, folder, "tagger", "--golden", str(golden), "--sample", str(sample))
        card = json.loads((folder / "card.json").read_text("utf-8"))
        del card["training_seconds"]
        paths = [folder / "model.safetensors", folder / "config.json", golden, sample]
        files.append([card, *(path.read_bytes() for path in paths)])
    assert files[0] == files[1]
    content = json.loads(gzip.decompress(files[0][-1]))
    assert all(len(e["words"]) == len(e["tags"]) for e in content["examples"])


def test_a_certain_tag_comes_from_the_synset_or_from_a_rule(
    wordnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    from tagger_corpus import label
    from tagger_wordnet import Synset, WordNet

    read = WordNet(wordnet)
    saw = Synset("noun", frozenset({"saw"}), "a tool", ())
    see = Synset("verb", frozenset({"see"}), "to perceive", ())
    assert label("They sharpened the saw.", [saw], read).tags == [
        "PRON", None, "DET", "NOUN", "PUNCT",
    ]  # fmt: skip
    assert label("She saw the dog", [see], read).tags == ["PRON", "VERB", "DET", "NOUN"]
    twice = label("I saw a saw", [saw], read)
    assert twice.tags == ["PRON", None, "DET", None], "twice in the example: neither is certain"
    assert twice.choices == [("PRON",), ("NOUN", "VERB"), ("DET",), ("NOUN", "VERB")]
    assert label("to read", [], read).tags == ["PART", "VERB"]
    assert label("to the dog", [], read).tags == ["ADP", "DET", "NOUN"]


def test_pieces_are_the_ones_that_the_packaged_weights_were_trained_with() -> None:
    assert len(word_pieces("saw", 1024)) == N_PIECE_OF_WORD
    assert word_pieces("Saw", 1024)[1:] == word_pieces("saw", 1024)[1:]
    assert word_pieces("Saw", 1024)[0] != word_pieces("saw", 1024)[0]
    assert all(
        0 <= id < 30 for word in ("a", "", "\ud800", "1999", "IBM") for id in word_pieces(word, 30)
    )
