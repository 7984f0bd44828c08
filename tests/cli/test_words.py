"""`--words`: pieces put together, in `run` and `show`, and a tokenizer of another model."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest

import attnviz
from tests.conftest import GOLDEN

pytest.importorskip("tokenizers")

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##believ", "##able", "saw", "i", "!"]
MERGED = "pieces merged into words: sum over keys, mean over queries"


@pytest.fixture
def bert(tmp_path):
    """A tiny BERT with a vocabulary of its size."""
    folder = tmp_path / "tiny"
    shutil.copytree(GOLDEN / "bert-tiny", folder)
    others = [f"other{i}" for i in range(41 - len(PIECES))]
    (folder / "vocab.txt").write_text("\n".join(PIECES + others) + "\n")
    return folder


TEXT = "I saw unbelievable!"


def test_words_on_the_screen(call, bert):
    pieces = call("run", TEXT, "-m", bert, "-s", "L1.H1")
    assert "1 i  2 saw  3 un  4 ##believ  5 ##able  6 !" in pieces.out
    assert "## continues the word before it" in pieces.out
    done = call("run", TEXT, "-m", bert, "-s", "L1.H1", "--words")
    assert (done.code, done.err) == (0, "")
    assert MERGED in done.out
    assert "1 i  2 saw  3 unbelievable  4 !  5 [SEP]" in done.out
    assert "##" not in done.out


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_saved_trace_can_be_merged_later(call, bert, tmp_path, suffix):
    assert call("run", TEXT, "-m", bert, "-o", f"pieces{suffix}").code == 0
    assert call("run", TEXT, "-m", bert, "--words", "-o", f"words{suffix}").code == 0
    assert call("show", f"pieces{suffix}", "--words", "-o", f"later{suffix}").code == 0
    words, later = (attnviz.load(tmp_path / f"{name}{suffix}") for name in ("words", "later"))
    assert words.streams == later.streams
    for now, then in zip(words, later, strict=True):
        np.testing.assert_array_equal(now.weights, then.weights)
        np.testing.assert_allclose(now.weights.sum(-1), 1, atol=1e-5)
        assert now.weights.shape == (3, 6, 6)
    again = call("show", f"words{suffix}", "-s", "L0.H0")
    assert MERGED in again.out


def test_the_manifest_says_so(call, bert):
    manifest = json.loads(call("run", TEXT, "-m", bert, "--words", "--json").out)
    assert MERGED in manifest["model"]["notes"]
    assert {record["merged"] for record in manifest["records"]} == {"words"}
    assert manifest["streams"]["source"]["ids"] == [2, 9, 8, -1, 10, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stage", "scores"), "a word has no scores"),
        (("--stage", "logits"), "a word has no logits"),
        (("--keep", "q"), "--keep is about tokens"),
        (("--steps",), "--steps is about tokens"),
        (("--mask-effect",), "--mask-effect is about tokens"),
        ((), "there are no pieces to merge"),
    ],
)
def test_only_weights_can_be_merged(call, arguments, message):
    done = call("run", "I saw", "--words", *arguments)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert "hint: " in done.err


def test_a_tokenizer_of_another_model(call, bert):
    more = [f"more{i}" for i in range(9)]
    path = bert / "vocab.txt"
    path.write_text(path.read_text() + "\n".join(more) + "\n")
    start = time.perf_counter()
    done = call("run", "I saw more8", "-m", bert)
    assert time.perf_counter() - start < 5
    assert done.code == 2
    assert f"{path} is the tokenizer of another model: it reads more8 as 49" in done.err
    assert "by the config of tiny ids go from 0 to 40" in done.err
    done = call("run", "I saw", "-m", bert)  # whose ids happen to be low enough
    assert done.code == 0
    told = " ".join(done.out.split())
    assert (
        "its tokenizer has 50 tokens, but its embedding 41: they may belong to different models"
        in told
    )
