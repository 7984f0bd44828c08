"""Fields of published configs that no code reads are passed over; one that may matter is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models.build.families import FAMILIES
from attnviz.models.build.read_names import TABLE, may_read
from tests.models.build.families import goldens
from tests.models.build.families.checkpoints import with_config

UNREAD = {
    "gpt2": {"n_special": 0, "predict_special_tokens": True, "hidden_size": 20},
    "gemma3_text": {"sliding_window_size": 512, "full_attn_mod": 2, "unsloth_fixed": True},
    "mistral": {"mlp_bias": False, "unsloth_version": "2025.1", "max_sequence_length": 9},
    "phi3": {"interpolate_factor": 1, "lm_head_bias": False},
    "bert": {"name": "finbert", "replacing_rate": 0.5, "save_step": 7, "tokenizer_args": {"a": 1}},
    "opt": {"learned_embeddings": True, "scale_embeddings": False},
    "electra": {"generator_size": "0.25"},
    "roberta": {"custom_pipelines": {"token": {}}},
}


def run(variant, folder):
    trace = goldens.run(goldens.cases(variant)["single"], 0, folder)
    return [record.weights for record in trace]


def changed(tmp_path, variant, **fields):
    with_config(tmp_path, goldens.config(variant) | fields, goldens.FAMILIES / variant)
    return tmp_path


@pytest.mark.parametrize("variant", UNREAD)
def test_what_nothing_reads_changes_nothing(variant, tmp_path):
    before = run(variant, goldens.FAMILIES / variant)
    after = run(variant, changed(tmp_path, variant, **UNREAD[variant]))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


TOOLS = {
    "unsloth_version": "2025.3",
    "unsloth_fixed": True,
    "max_sequence_length": 2048,
    "tokenizer_name": "other",
    "adapters": {"adapters": {}, "config_map": {}, "fusion_config_map": {}, "fusions": {}},
    "gradient_checkpointing": True,
    "matryoshka_dimensions": [256, 128],
}


@pytest.mark.parametrize(
    "of", [{"auto_map": {"AutoModel": "own.Model"}}, {"transformers_version": "5.99.0"}]
)
def test_what_tools_note_is_passed_over_whoever_reads_the_config(of, tmp_path):
    before = run("llama", goldens.FAMILIES / "llama")
    after = run("llama", changed(tmp_path, "llama", **TOOLS, **of))
    np.testing.assert_array_equal(before[0], after[0])
    with pytest.raises(AttnvizError, match="the field 'adapters'"):
        run(
            "llama",
            changed(tmp_path, "llama", adapters={"adapters": {"ner": {}}, "x": "pfeiffer"}, **of),
        )


def test_no_code_of_transformers_reads_what_tools_note():
    from attnviz.models.build.config import INERT_STARTS

    names = json.loads(TABLE.read_text())["names"]
    read = {name for family, found in names.items() if family != "shared" for name in found}
    assert not [
        name
        for name in read
        if name.startswith(INERT_STARTS) or name in {*TOOLS} - {"gradient_checkpointing"}
    ]


def test_a_rotary_section_has_its_own_reader(tmp_path):
    rope = {"rope_type": "linear", "factor": 2.5, "rope_theta": 300.0}
    variant = "llama-bias"
    assert goldens.config(variant)["rope_parameters"] == rope
    before = run(variant, goldens.FAMILIES / variant)
    after = run(variant, changed(tmp_path, variant, rope_parameters=rope | {"finetuned": True}))
    np.testing.assert_array_equal(before[0], after[0])
    with pytest.raises(AttnvizError, match="rope_parameters: the field 'beta_fast'"):
        run(variant, changed(tmp_path, variant, rope_parameters=rope | {"beta_fast": 1.0}))


@pytest.mark.parametrize(
    ("variant", "fields", "reason"),
    [
        ("gpt2", {"tie_last_hidden_states": False}, "this architecture in transformers reads it"),
        ("bert", {"rope_theta": 777.0}, "this architecture in transformers reads it"),
        ("llama", {"per_layer_config": {"1": {"head_dim": 3}}}, "transformers reads it"),
        ("bert", {"speed": 3, "auto_map": {"AutoModel": "own.Model"}}, "code of its own"),
        ("bert", {"speed": 3, "architectures": ["JinaBertModel"]}, "the class JinaBertModel"),
        ("bert", {"speed": 3, "transformers_version": "5.99.0"}, "transformers 5.99.0, newer"),
    ],
)
def test_what_may_matter_is_refused(variant, fields, reason, tmp_path):
    name = next(iter(fields))
    with pytest.raises(
        AttnvizError, match=f"the field '{name}' .* may change the numbers: .*{reason}"
    ):
        run(variant, changed(tmp_path, variant, **fields))


@pytest.mark.parametrize(
    ("value", "is_neutral"),
    [(False, True), (0, True), (1, True), (1.0, True), ("", True), ([], True), ({}, True),
     (True, False), (2, False), (0.5, False), ("1", False), ([0], False)],
)  # fmt: skip
def test_a_neutral_value_asks_nothing_even_of_other_code(value, is_neutral):
    """Phi-4-mini: `full_attn_mod: 1`, `lm_head_bias: false` beside an auto_map."""
    reason = may_read("phi3", "lm_head_bias", {"auto_map": {}, "lm_head_bias": value})
    assert (reason == "") == is_neutral
    assert may_read("phi3", "rope_theta", {"rope_theta": value})


@pytest.mark.parametrize(
    "fields",
    [
        {"architectures": ["TFBertModel"]},
        {"architectures": None},
        {"transformers_version": "5.23.7"},
        {"transformers_version": "2.0"},
    ],
)
def test_what_is_of_transformers_itself_is_not(fields, tmp_path):
    run("bert", changed(tmp_path, "bert", speed=3, **fields))


@pytest.mark.parametrize(
    ("variant", "alias", "name"),
    [
        ("gpt2", "num_attention_heads", "n_head"),
        ("distilbert", "hidden_size", "dim"),
        ("t5", "head_dim", "d_kv"),
        ("bart", "num_attention_heads", "encoder_attention_heads"),
        ("marian", "hidden_size", "d_model"),
    ],
)
def test_another_name_of_a_field(variant, alias, name, tmp_path):
    """As `attribute_map` of transformers' configurations has them."""
    config = goldens.config(variant)
    value = config.pop(name)
    before = run(variant, goldens.FAMILIES / variant)
    with_config(tmp_path, config | {alias: value}, goldens.FAMILIES / variant)
    np.testing.assert_array_equal(run(variant, tmp_path)[0], before[0])
    run(variant, changed(tmp_path, variant, **{alias: value}))
    with pytest.raises(
        AttnvizError, match=f"{alias} = {value * 2} and {name} = {value} mean the same"
    ):
        run(variant, changed(tmp_path, variant, **{alias: value * 2}))


def test_the_table_knows_every_family():
    table = json.loads(TABLE.read_text())
    assert {*table["names"]} - {"shared", "rope"} == {*FAMILIES} - {"attnviz"}
    assert {*table["classes"]} == {*FAMILIES} - {"attnviz"}
    for variant in goldens.VARIANTS:
        config = goldens.config(variant)
        assert config["architectures"][0] in table["classes"][goldens.model_type(variant)]
        assert config["transformers_version"] in (table["transformers"], *table["also"])


def test_the_table_is_not_read_where_every_field_is_known(monkeypatch):
    """Loading stays as fast as it is."""
    monkeypatch.setattr("attnviz.models.build.read_names.may_read", lambda *_: pytest.fail("read"))
    attnviz.run([1, 2], model=str(goldens.FAMILIES / "bert"))


def test_an_unknown_reader_may_read_anything():
    assert may_read("no such family", "x", {})
