"""What a model of masked tokens expects at the mask."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import attnviz
from tests.conftest import GOLDEN

pytest.importorskip("tokenizers")


@pytest.fixture
def bert(tmp_path):
    """The tiny BERT with an output, and words for its ids."""
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
    notes = [note for note in trace.model["notes"] if "expects" in note]
    assert len(notes) == 2
    for note, place in zip(notes, (2, 4), strict=True):
        p = np.exp(trace.logits[place].astype(float))
        p /= p.sum()
        best = sorted(range(len(p)), key=lambda id: -p[id])[:5]
        told = ", ".join(f"{words[id]} {p[id]:.3f}" for id in best)
        assert note == f"at {place} [MASK] it expects {told}"


def test_no_mask_no_output(bert):
    folder, _ = bert
    trace = attnviz.run("word3 word5", model=str(folder))
    assert trace.logits is None
    assert not any("expects" in note for note in trace.model["notes"])
    masked = attnviz.run("word3 [MASK]", model=str(folder))
    assert masked.logits is None  # computed for the note, not asked for
