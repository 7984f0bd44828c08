"""Files of examples, whole and broken."""

from __future__ import annotations

import json

import pytest

from attnviz import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.evaluator import Evaluator
from attnviz.models.run.examples import read_examples
from attnviz.models.run.probe import UNKNOWN


def write(tmp_path, *lines):
    path = tmp_path / "examples.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_tags(tmp_path):
    model = load_model("tagger")
    path = write(
        tmp_path,
        json.dumps({"text": "I saw a saw", "tags": ["PRON", "VERB", None, "NOUN"]}),
        "",
        json.dumps({"words": ["I", "sing"], "tags": ["PRON", "VERB"], "source": "nobody"}),
    )
    first, second = read_examples(model, path)
    names = [model.labels[id] if id >= 0 else None for id in first.right]
    assert names == ["PRON", "VERB", None, "NOUN"]
    assert first.right[2] == UNKNOWN
    assert second.streams["source"].tokens[1:3] == ("I", "sing")


def test_translations_are_right_if_greedy_decoding_writes_them(tmp_path):
    model = load_model("phrases")
    right, wrong = read_examples(
        model, write(tmp_path, "我看见了一把锯子\tI saw a saw", "早上好！\tGood night!")
    )
    assert right.right[-1] == model.target_tokenizer.end
    assert right.positions.tolist() == list(range(len(right.right)))
    hits = [
        (Evaluator(model, probe)(model.transformer).argmax(-1) == probe.right).all()
        for probe in (right, wrong)
    ]
    assert hits == [True, False]


def test_continuations(tmp_path):
    """Only what follows the source counts."""
    model = load_model("induction")
    (probe,) = read_examples(model, write(tmp_path, "abcdea\tbcde"))
    tokens = probe.streams["source"]
    assert "".join(tokens.tokens[1:]) == "abcdeabcde"
    assert probe.positions.tolist() == [6, 7, 8, 9]
    assert [tokens.ids[place + 1] for place in probe.positions] == probe.right.tolist()
    assert (Evaluator(model, probe)(model.transformer).argmax(-1) == probe.right).all()


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("tagger", "I saw", "line 2: not JSON"),
        ("tagger", "[1]", "line 2: expected an object"),
        ("tagger", '{"text": "I saw", "tags": ["PRON"]}', "line 2: 1 tags for 2 tokens"),
        ("tagger", '{"text": "I", "tags": ["PRN"]}', "line 2: tagger has no tag 'PRN'"),
        ("tagger", '{"text": " ", "tags": []}', "line 2: the text has no tokens"),
        ("phrases", "你好！ Hello!", "line 2: expected SOURCE<TAB>TARGET"),
        ("phrases", "你好！\t ", "line 2: expected SOURCE<TAB>TARGET"),
    ],
)
def test_errors_name_the_line(tmp_path, name, line, message):
    with pytest.raises(AttnvizError, match=message):
        read_examples(load_model(name), write(tmp_path, "", line))


def test_files_that_cannot_be_read(tmp_path):
    model = load_model("tagger")
    path = tmp_path / "latin"
    path.write_bytes(b"{}\n\xe9\n")
    with pytest.raises(AttnvizError, match="line 1: expected an object"):
        read_examples(model, path)
    path.write_bytes(b"\xe9\n")
    with pytest.raises(AttnvizError, match="line 1: not UTF-8"):
        read_examples(model, path)
    with pytest.raises(AttnvizError, match="has no lines"):
        read_examples(model, write(tmp_path, "", " "))
    with pytest.raises(AttnvizError, match="No such file"):
        read_examples(model, tmp_path / "nothing")
    with pytest.raises(AttnvizError, match="for models that tag or write"):
        read_examples(load_model("digits"), path)
