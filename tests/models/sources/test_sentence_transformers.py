"""Folders of sentence-transformers: the vector of a text."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.models import load_model
from tests.models.build.families import checkpoints, goldens

IDS = [7, 9, 21, 33, 12]
D = 20
TYPE = "sentence_transformers.models."


def folder_of(folder, *modules, model="", **configs):
    """A folder with these modules behind a BERT; their configs by their numbers: `m1={…}`."""
    config, tensors = checkpoints.read(goldens.FAMILIES / "bert")
    folder.mkdir()
    checkpoints.write(folder / model, config, tensors)
    paths = [model, *(f"{i}_{kind}" for i, kind in enumerate(modules, 1))]
    kinds = ["Transformer", *modules]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": TYPE + kind}
        for i, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    for number, values in configs.items():
        inside = folder / paths[int(number[1:])]
        inside.mkdir(exist_ok=True)
        (inside / "config.json").write_text(json.dumps(values))
    return folder


def states():
    trace = attnviz.run(IDS, model=str(goldens.FAMILIES / "bert"), hidden_states=True)
    return np.asarray(trace.hidden_states["encoder"][-1], np.float64)


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (["cls_token"], lambda x: x[0]),
        (["mean_tokens"], lambda x: x.mean(0)),
        (["max_tokens"], lambda x: x.max(0)),
        (["mean_sqrt_len_tokens"], lambda x: x.sum(0) / len(x) ** 0.5),
        (["weightedmean_tokens"], lambda x: np.arange(1, 6) @ x / 15),
        (["lasttoken"], lambda x: x[-1]),
        (["mean_tokens", "cls_token"], lambda x: np.concatenate([x[0], x.mean(0)])),
    ],
)
def test_pooling(modes, expected, tmp_path):
    switches = {f"pooling_mode_{mode}": True for mode in modes}
    pooling = {"word_embedding_dimension": D, "pooling_mode_max_tokens": False, **switches}
    folder = folder_of(tmp_path / "st", "Pooling", m1=pooling)
    trace = attnviz.run(IDS, model=str(folder), logits=True)
    np.testing.assert_allclose(trace.answer.embedding, expected(states()), atol=1e-5)
    np.testing.assert_array_equal(trace.logits[0], trace.answer.embedding)
    assert trace.model.task == "embed"
    assert trace.model.notes == ()


def test_a_newer_config_names_the_mode(tmp_path):
    folder = folder_of(tmp_path / "st", "Pooling", m1={"pooling_mode": "mean"})
    found = attnviz.run(IDS, model=str(folder)).answer.embedding
    np.testing.assert_allclose(found, states().mean(0), atol=1e-5)


@pytest.mark.parametrize(("name", "function"), [("Tanh", np.tanh), ("Identity", np.asarray)])
def test_a_dense_layer_and_unit_length_behind_it(name, function, tmp_path):
    dense = {
        "in_features": D,
        "out_features": 7,
        "bias": True,
        "activation_function": f"torch.nn.modules.activation.{name}",
    }
    folder = folder_of(
        tmp_path / "st",
        "Pooling",
        "Dense",
        "Normalize",
        model="0_Transformer",
        m1={"pooling_mode_mean_tokens": True},
        m2=dense,
    )
    generator = np.random.default_rng(1)
    weight, bias = (generator.standard_normal(n).astype("f4") for n in ((7, D), 7))
    tensors = {"linear.weight": weight, "linear.bias": bias}
    checkpoints.write(folder / "2_Dense", dense, tensors)
    vector = function(weight @ states().mean(0) + bias)
    found = attnviz.run(IDS, model=str(folder)).answer.embedding
    np.testing.assert_allclose(found, vector / np.linalg.norm(vector), atol=1e-5)


@pytest.mark.parametrize(
    ("modules", "configs", "why"),
    [
        (["Normalize"], {}, "has no Pooling"),
        (["Pooling", "LSTM"], {"m1": {"pooling_mode_cls_token": True}}, "LSTM, which is not known"),
        (["Pooling"], {"m1": {"word_embedding_dimension": D}}, "no pooling that is known"),
        (["Pooling"], {"m1": {"pooling_mode": "attention"}}, "no pooling that is known"),
        (["Pooling"], {}, "config.json"),
        (
            ["Pooling", "Dense"],
            {"m1": {"pooling_mode_cls_token": True}, "m2": {"in_features": D, "out_features": 7}},
            "has no model.safetensors",
        ),
    ],
)
def test_what_cannot_be_read_is_said_and_attention_is_shown(modules, configs, why, tmp_path):
    folder = folder_of(tmp_path / "st", *modules, **configs)
    trace = attnviz.run(IDS, model=str(folder))
    (note,) = trace.model.notes
    assert note.startswith("the vector of a text is not computed: ")
    assert why in note
    assert trace.answer is None
    assert len(trace) == 2


def test_a_pair_is_compared_text_by_text(tmp_path):
    folder = folder_of(tmp_path / "st", "Pooling", m1={"pooling_mode_mean_tokens": True})
    model = load_model(str(folder))
    first, second = (attnviz.run(ids, model=model).answer for ids in (IDS, [8, 9, 10]))
    both = attnviz.run(IDS, pair=[8, 9, 10], model=model)
    assert len(both.streams["source"]) == 8
    np.testing.assert_array_equal(both.answer.embedding, first.embedding)
    a, b = first.embedding, second.embedding
    cosine = sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5
    assert both.answer.best.value == pytest.approx(cosine, abs=1e-5)
    assert any("each is read alone" in note for note in both.model.notes)


def test_what_sentence_transformers_does_to_a_text_is_said(tmp_path):
    folder = folder_of(tmp_path / "st", "Pooling", m1={"pooling_mode_mean_tokens": True})
    settings = {"max_seq_length": 4, "do_lower_case": True}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    prompts = {"prompts": {"query": "ask: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    notes = attnviz.run(IDS, model=str(folder)).model.notes
    assert len(notes) == 3
    assert any("lowers the case" in note for note in notes)
    assert any("ask:" in note for note in notes)
    assert any("5 tokens: sentence-transformers cuts a text after 4" in note for note in notes)
    assert len(attnviz.run(IDS[:4], model=str(folder)).model.notes) == 2


@pytest.mark.parametrize("content", ["{}", "[1]", "[{}", '[{"type": "a.Pooling", "path": "../x"}]'])
def test_a_list_of_modules_that_is_none_is_refused(content, tmp_path):
    folder = folder_of(tmp_path / "st", "Pooling", m1={"pooling_mode_mean_tokens": True})
    (folder / "modules.json").write_text(content)
    with pytest.raises(attnviz.AttnvizError, match=r"modules\.json"):
        load_model(str(folder))
