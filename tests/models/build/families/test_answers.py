"""The heads of every class of transformers that answers about a text, against transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.models.build.answers import reader_of
from tests.models.build.families import checkpoints, goldens
from tests.models.build.families.bounds import LOGITS

HEADS = json.loads((goldens.FAMILIES / "heads.json").read_text())
"""Made by `tests/golden/families/heads.py`."""

ANSWERS = {name: head["answer"] for name, head in HEADS.items() if "answer" in head}


def answered(name, folder):
    """The logits as the class has them."""
    model = str(checkpoints.of_class(folder / name, name, HEADS[name]))
    trace = attnviz.run(ANSWERS[name]["ids"], model=model, logits=True, fingerprint=False)
    if name == "ElectraForPreTraining":  # attnviz has two logits, of which the first is 0
        assert not trace.logits[:, 0].any()
        return trace, trace.logits[:, 1][None]
    return trace, trace.logits


@pytest.mark.parametrize("name", ANSWERS)
def test_numbers(name, tmp_path):
    trace, logits = answered(name, tmp_path)
    expected = np.array(ANSWERS[name]["logits"])
    assert logits.shape == expected.shape
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=LOGITS)
    assert trace.answer is not None
    assert not [note for note in trace.model.notes if "computed" in note]


def test_every_class_is_there():
    assert len(ANSWERS) > 40
    assert [name for name in HEADS if reader_of(name) is not None] == [*ANSWERS]
