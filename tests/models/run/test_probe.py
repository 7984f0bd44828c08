"""What is asked about a text: the places, what is right there, what is watched."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.evaluator import Evaluator
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from attnviz.models.run.probe import UNKNOWN, make_probe, output_id, output_name
from tests.models.build.families import checkpoints, goldens


def test_a_tagger_is_asked_at_its_words():
    model = load_model("tagger")
    probe = make_probe(model, "I saw a saw")
    assert probe.positions.tolist() == [1, 2, 3, 4]
    assert probe.right is None
    assert probe.watched.all()
    best = Evaluator(model, probe)(model.transformer).argmax(-1)
    assert [output_name(model, id) for id in best] == ["PRON", "VERB", "DET", "NOUN"]


def test_a_decoder_alone_is_asked_what_comes_next():
    probe = make_probe(load_model("induction"), "abcab")
    ids = probe.streams["source"].ids
    assert probe.positions.tolist() == list(range(len(ids)))
    assert probe.right.tolist() == [*ids[1:], UNKNOWN]
    assert probe.watched.tolist() == [False] * (len(ids) - 1) + [True]


@pytest.mark.parametrize("text", ["我看见了一把锯子", "早上好！", "好"])
def test_a_translator_is_asked_what_it_wrote(text):
    """Read at once, its own output is what it finds most probable at every place."""
    model = load_model("phrases")
    probe = make_probe(model, text)
    written = generate(model, read_text(model, text)).written
    assert probe.right.tolist() == list(written.ids)
    best = Evaluator(model, probe)(model.transformer).argmax(-1)
    assert (best == probe.right).all()
    assert probe.all_or_nothing


def test_what_the_decoder_was_given():
    model = load_model("phrases")
    probe = make_probe(model, "我看见了一把锯子", target="I saw", token="a")
    target = probe.streams["target"]
    assert target.tokens[-2:] == ("I", "saw")
    assert probe.right.tolist() == [*target.ids[1:], UNKNOWN]
    assert np.flatnonzero(probe.watched).tolist() == [len(target) - 1]
    assert output_name(model, probe.choice) == "a"


def test_names_of_outputs():
    assert output_id(load_model("tagger"), "VERB") == load_model("tagger").labels.index("VERB")
    model = load_model("induction")
    assert output_name(model, output_id(model, "q")) == "q"
    assert output_id(model, "#7") == 7
    for token in ("qq", "é", "#66"):
        with pytest.raises(AttnvizError):
            output_id(model, token)
    with pytest.raises(AttnvizError, match="no output 'VREB'"):
        output_id(load_model("tagger"), "VREB")
    with pytest.raises(AttnvizError, match="no output"):
        output_id(load_model("random"), "a")
    with pytest.raises(AttnvizError, match="does not read a target"):
        make_probe(model, "ab", target="c")


@pytest.mark.parametrize("variant", ["gpt2-classifier", "bart-classifier", "t5-classifier"])
def test_a_classifier_is_asked_for_its_label(variant):
    model = load_model(str(goldens.FAMILIES / variant))
    ids = [7, 9, 21, model_end(variant)]
    probe = make_probe(model, ids, token="LABEL_2")
    logits = Evaluator(model, probe)(model.transformer)
    np.testing.assert_array_equal(logits, attnviz.run(ids, model=model, logits=True).logits)
    assert (probe.positions.tolist(), probe.choice) == ([0], 2)


def model_end(variant):
    """What the config says that a text ends in."""
    return goldens.config(variant)["eos_token_id"] % 47  # GPT-2's is not among these tokens


def test_a_classifier_that_finds_no_end_says_so():
    model = load_model(str(goldens.FAMILIES / "bart-classifier"))
    with pytest.raises(AttnvizError, match="the token that ends a text, which is not there"):
        make_probe(model, [7, 9, 21])


def test_each_of_several_labels_is_a_choice_of_its_own(tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "gpt2-classifier")
    config["problem_type"] = "multi_label_classification"
    model = load_model(str(checkpoints.write(tmp_path / "c", config, tensors)))
    ids = [7, 9, 21]
    probe = make_probe(model, ids)
    logits = Evaluator(model, probe)(model.transformer)
    expected = attnviz.run(ids, model=model, logits=True).logits[0]
    np.testing.assert_array_equal(logits, [[0, x] for x in expected])
    one = make_probe(model, ids, token="LABEL_1")
    assert (one.positions.tolist(), one.choice) == ([1], 1)


def test_a_model_that_answers_questions_is_asked_where_the_answer_lies(tmp_path):
    heads = json.loads((goldens.FAMILIES / "heads.json").read_text())
    name = "LlamaForQuestionAnswering"
    model = load_model(str(checkpoints.of_class(tmp_path / "qa", name, heads[name])))
    ids = [7, 9, 21]
    probe = make_probe(model, ids)
    logits = Evaluator(model, probe)(model.transformer)
    np.testing.assert_array_equal(logits, attnviz.run(ids, model=model, logits=True).logits.T)
    assert probe.watched.all()
    with pytest.raises(AttnvizError, match="no output whose probability could be reported"):
        make_probe(model, ids, token="start")


def test_of_numbers_the_states_count(tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "gpt2-classifier")
    config["problem_type"] = "regression"
    model = load_model(str(checkpoints.write(tmp_path / "c", config, tensors)))
    probe = make_probe(model, [7, 9, 21])
    assert Evaluator(model, probe)(model.transformer).shape == (3, 20)
