"""What a model answers, as a trace keeps it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.trace.answer import Answer, Option, cosine


def test_cosine():
    a, b = np.array([3.0, 4.0]), np.array([4.0, 3.0])
    assert cosine(a, b) == pytest.approx(24 / 25)
    assert cosine(a, 0 * b) == 0


def test_the_nearest_comes_first():
    def vector(*numbers):
        return Answer("embed", (), embedding=np.array(numbers))

    others = {"far": vector(-1.0, 0), "near": vector(1.0, 0.1), "\x1b[31m": vector(0, 1.0)}
    answer = vector(1.0, 0).compared(others)
    assert answer.best.text == "near"
    assert [each.text for each in answer.options][2] == "far"
    assert not any("\x1b" in each.text for each in answer.options)
    assert answer.options[1].value == pytest.approx(0)
    assert str(answer).startswith("embed: near 0.995, ")


@pytest.mark.parametrize("suffix", [".npz", ".json", ".safetensors"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer("classify", (Option("good", 0.75), Option("bad", 0.25)), several=True),
        Answer("span", (Option("in Paris", 0.5, positions=(3, 4)), Option("", 0.25))),
        Answer("embed", (Option("other", value=-0.5),), embedding=np.array([0.5, 1.5])),
    ],
)
def test_there_and_back(answer, suffix, tmp_path):
    from dataclasses import replace

    path = tmp_path / f"trace{suffix}"
    replace(attnviz.run("I saw"), answer=answer).save(path)
    found = attnviz.load(path).answer
    assert (found.task, found.options, found.several) == (
        answer.task,
        answer.options,
        answer.several,
    )
    if answer.embedding is None:
        assert found.embedding is None
    else:
        np.testing.assert_array_equal(found.embedding, answer.embedding)


@pytest.mark.parametrize(
    "entry", [{}, {"task": "tag"}, {"task": "tag", "options": 3}, [],
              {"task": "tag", "options": [{"text": "x", "probability": "much"}]},
              {"task": "tag", "options": [{"probability": 1}]}]
)  # fmt: skip
def test_what_is_malformed_is_refused(entry, tmp_path):
    path = tmp_path / "trace.json"
    attnviz.run("I saw").save(path)
    content = json.loads(path.read_text())
    assert content["answer"]["task"] == "tag"
    path.write_text(json.dumps(content | {"answer": entry}))
    with pytest.raises(AttnvizError, match="in the manifest"):
        attnviz.load(path)


def test_a_file_without_an_answer_has_none(tmp_path):
    path = tmp_path / "trace.json"
    attnviz.run("I saw").save(path)
    content = json.loads(path.read_text())
    del content["answer"]
    path.write_text(json.dumps(content))
    assert attnviz.load(path).answer is None
