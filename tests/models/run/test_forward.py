"""What a run records, and what it says of the model and the text."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import attnviz
from attnviz.models import load_model
from attnviz.models.run.inputs import read_text
from attnviz.models.run.memory import plan_run
from attnviz.running import run
from tests.conftest import GOLDEN


@pytest.mark.parametrize(("n_letter", "noted"), [(64, False), (65, True)])
def test_trained_tokens(n_letter, noted):
    """[BOS] counts; the length that it was trained on is not beyond it."""
    notes = run("a" * n_letter, model="induction").model.notes
    assert any("trained on at most 65" in note for note in notes) is noted


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
    assert any("capitalisation" in note for note in run(ids).model.notes)


@pytest.fixture
def bert(tmp_path):
    """The tiny BERT with an output, and words for its ids."""
    pytest.importorskip("tokenizers")
    folder = tmp_path / "bert"
    shutil.copytree(GOLDEN / "families" / "bert", folder)
    n = json.loads((folder / "config.json").read_text())["vocab_size"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *(f"word{i}" for i in range(n - len(special)))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder, words


def test_the_most_probable_tokens_are_named(bert):
    folder, words = bert
    trace = attnviz.run("word3 [MASK] word5 [MASK]", model=str(folder), logits=True)
    assert trace.streams["source"].tokens == (
        "[CLS]",
        "word3",
        "[MASK]",
        "word5",
        "[MASK]",
        "[SEP]",
    )
    assert trace.answer.task == "fill"
    for position in (2, 4):
        p = np.exp(trace.logits[position].astype(float))
        p /= p.sum()
        best = sorted(range(len(p)), key=lambda id: -p[id])[:5]
        options = [each for each in trace.answer.options if each.positions == (position,)]
        assert [each.text for each in options] == [words[id] for id in best]
        np.testing.assert_allclose([each.probability for each in options], p[best])


def test_no_mask_no_output(bert):
    folder, _ = bert
    trace = attnviz.run("word3 word5", model=str(folder))
    assert trace.logits is None
    assert trace.answer is None
    masked = attnviz.run("word3 [MASK]", model=str(folder))
    assert masked.logits is None  # computed for the answer, not asked for
    assert masked.answer is not None
