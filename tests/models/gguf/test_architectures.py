"""GGUF files of tiny models, against the same models as Hugging Face saves them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import attnviz
from attnviz.errors import AttnvizError
from tests.conftest import GOLDEN
from tests.models.build.families.checkpoints import read, write
from tests.models.gguf import convert as converter
from tests.models.gguf.convert import convert

FAMILIES = GOLDEN / "families"
MODELS = (
    "llama", "llama-3", "llama-bias", "llama-yarn", "mistral", "mixtral", "qwen2", "qwen3",
    "qwen2_moe", "qwen3_moe", "olmoe", "olmo2", "olmo2-bias", "olmo3", "cohere", "cohere-norms",
    "cohere2", "cohere2-bias", "granite", "granite-bias", "stablelm", "stablelm-parallel",
    "starcoder2", "starcoder2-plain", "smollm3", "gemma", "gemma2", "gemma3_text",
    "gemma3_text-both-sides", "phi", "phi3", "phi3-long", "gpt2", "gpt_neox", "gpt_neox-serial",
    "bert", "distilbert", "roberta", "xlm-roberta", "camembert", "t5", "t5-encoder", "t5-v1_1", "mt5-untied",
    "umt5", "qwen2-both-sides", "nomic_bert", "modernbert", "bloom", "falcon", "falcon-groups",
    "falcon-one-norm", "mpt", "mpt-clipped", "gpt_oss",
    "deepseek_v2", "deepseek_v2-lite", "deepseek_v3",
)  # fmt: skip

TANH = {"hidden_act": "gelu_pytorch_tanh"}
YARN = {"rope_type": "yarn", "rope_theta": 300.0, "factor": 8.0, "mscale": 0.7,
        "mscale_all_dim": 0.7, "original_max_position_embeddings": 5}  # fmt: skip
UNSAID = {
    "gemma2": {"query_pre_attn_scalar": 10},
    "gemma3_text": {"query_pre_attn_scalar": 10},
    "gpt_neox": {"hidden_act": "gelu"},
    "starcoder2": {"sliding_window": None, **TANH},
    "falcon-groups": {
        "bias": False,
        "activation": "gelu",
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "mpt-clipped": {"attn_config": {"clip_qkv": 0.7}},
    "gpt_oss": {"swiglu_limit": 7.0, "swiglu_alpha": 1.702},
    "deepseek_v2": {"rope_parameters": YARN},
    "deepseek_v2-lite": {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu"},
    "deepseek_v3": {"rope_parameters": YARN},
    "qwen2-both-sides": {"use_sliding_window": False, "layer_types": None},
    "cohere-norms": {
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
    },
    **{name: {"relative_attention_max_distance": 128} for name in ("t5", "mt5", "umt5")},
}
"""Fields that GGUF has no place for, of a variant or of a family, and what files then mean."""

ANCESTORS = {"roberta": "bert", "xlm-roberta": "bert", "camembert": "bert", "mt5": "t5"}
"""Families whose files are those of another one."""

IDS = [7, 11, 5, 23, 32, 19, 5, 31, 8, 13, 28, 27, 11, 36, 30, 9, 34]
"""Longer than any window, and than what a scaled rotation was first trained on."""


@pytest.fixture(params=MODELS)
def both(request, tmp_path):
    """The model as a folder and as a GGUF file."""
    folder = FAMILIES / request.param
    config, tensors = read(folder)
    unsaid = UNSAID.get(request.param, UNSAID.get(config["model_type"]))
    if unsaid:
        config |= unsaid
        if unsaid.get("tie_word_embeddings"):
            del tensors["lm_head.weight"]
        if False in (unsaid.get("bias"), unsaid.get("attention_bias")):
            tensors = {k: x for k, x in tensors.items() if "ln_" in k or not k.endswith("bias")}
        folder = write(tmp_path / "folder", config, tensors)
    return folder, convert(config, tensors, tmp_path / "model.gguf")


def run(path, **given):
    return attnviz.run(IDS, model=str(path), hidden_states=True, logits=True, **given)


def runs(both):
    """What the folder and the file give."""
    config, _ = read(both[0])
    has_decoder = config.get("is_encoder_decoder") and "Encoder" not in config["architectures"][0]
    return [run(path, target=[0, 7, 9, 21, 5] if has_decoder else None) for path in both]


def test_same_numbers_as_from_the_folder(both):
    expected, found = runs(both)
    for left, right in zip(expected, found, strict=True):
        np.testing.assert_allclose(right.weights, left.weights, atol=1e-6)
        assert (right.mask == left.mask).all()
    assert found.hidden_states.keys() == expected.hidden_states.keys()
    for stack, states in expected.hidden_states.items():
        np.testing.assert_allclose(found.hidden_states[stack], states, atol=1e-5)
    if "bert" in found.model.family or expected.logits is None:  # its output is not in the file
        assert found.logits is None
    else:
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)


def test_what_it_says_of_itself(both):
    expected, facts = (trace.model for trace in runs(both))
    assert facts.family == ANCESTORS.get(expected.family, expected.family)
    if "bert" not in facts.family:
        assert (facts.n_parameter, facts.task) == (expected.n_parameter, expected.task)
    assert facts.kind == expected.kind
    for field in ("n_layer", "n_head", "d_model"):
        assert facts.shape[field] == expected.shape[field]
    assert facts.name == "model"


def test_deepseek_before_keys_and_values_were_stored_apart(tmp_path, monkeypatch):
    config, tensors = read(FAMILIES / "deepseek_v3")
    config["rope_parameters"] = YARN
    folder = write(tmp_path / "folder", config, tensors)
    monkeypatch.setattr(converter, "_keys_and_values", lambda config, *whole: [whole])
    old = {"head_count_kv": 4, "key_length": 10, "value_length": 5, "key_length_mla": None,
           "value_length_mla": None}  # fmt: skip
    old = {f"deepseek2.attention.{key}": value for key, value in old.items()}
    found = run(convert(config, tensors, tmp_path / "model.gguf", old))
    np.testing.assert_allclose(found.logits, run(folder).logits, atol=1e-5)


def test_keys_and_values_of_a_latent_that_do_not_fit_each_other(tmp_path, monkeypatch):
    config, tensors = read(FAMILIES / "deepseek_v3")
    apart = converter._keys_and_values
    monkeypatch.setattr(
        converter,
        "_keys_and_values",
        lambda *given: [(name, array[: 3 + ("v_b" in name)]) for name, array in apart(*given)],
    )
    with pytest.raises(AttnvizError, match="kv_b_proj"):
        run(convert(config, tensors, tmp_path / "model.gguf"))


@pytest.mark.parametrize("name", ["model.GGUF", "sha256-0123"])
def test_a_file_is_known_by_its_first_bytes(tmp_path, name):
    config, tensors = read(FAMILIES / "llama")
    path = convert(config, tensors, tmp_path / "model.gguf").rename(tmp_path / name)
    assert len(run(path).records) == 2


class TestRefusals:
    """A file that is right but for one field."""

    @pytest.fixture
    def spoil(self, tmp_path):
        config, tensors = read(FAMILIES / "llama")

        def write(added):
            return convert(config, tensors, tmp_path / "model.gguf", added)

        return write

    @pytest.mark.parametrize(
        ("added", "message"),
        [
            ({"llama.logit_scale": 2.0}, r"llama\.\*: the field 'logit_scale' .* may change"),
            ({"llama.expert_count": 8}, "has no 'expert_used_count'"),
            ({"llama.expert_used_count": 8}, "expert_used_count = 8 changes the numbers"),
            (
                {"llama.attention.causal": False, "llama.attention.sliding_window": 5},
                "attention.causal = False changes the numbers",
            ),
            ({"llama.attention.value_length": 4}, "attention.value_length = 4 changes"),
            ({"llama.rope.dimension_count": 4}, "rope.dimension_count = 4 changes"),
            ({"llama.attention.head_count_kv": [4, 2]}, "head_count_kv: expected a whole number"),
            (
                {"llama.attention.head_count": 0},
                "head_count: expected a whole number of at least 1",
            ),
            ({"llama.embedding_length": 23}, "the config asks for"),
            ({"llama.block_count": 3}, "the tensor model.layers.2.* is missing"),
            ({"llama.block_count": 1}, "no place for the tensor model.layers.1"),
            ({"llama.rope.scaling.type": "cubic"}, "rope.scaling.type = 'cubic' changes"),
            ({"llama.rope.scaling.type": "longrope"}, "has no rope_factors_long.weight"),
            ({"llama.block_count": 2**32 - 1}, "block_count = 4294967295 is more than"),
            ({"llama.attention.key_length": 2**31}, "key_length = 2147483648 is more than"),
            ({"llama.attention.key_length": 7, "llama.attention.value_length": 7}, "odd number"),
            ({"general.architecture": "mamba"}, "architecture mamba is not supported"),
            ({"split.count": 3}, "one of 3 parts"),
            ({"general.type": "adapter"}, "holds a LoRA adapter, not a model"),
            ({"adapter.type": "lora", "adapter.lora.alpha": 8.0}, "holds a LoRA adapter, not a"),
            ({"general.type": "mmproj"}, "holds the image part of a model, not a model"),
            ({"general.type": "imatrix"}, "holds an importance matrix, not a model"),
            ({"general.type": "vocab"}, "holds a vocabulary, not a model"),
        ],
        ids=str,
    )
    def test_metadata(self, spoil, added, message):
        with pytest.raises(AttnvizError, match=message) as error:
            run(spoil(added))
        assert error.value.hint
        assert "config.json" not in error.value.hint  # there is none
        if "holds a" in message:
            assert "download it again" not in error.value.hint

    def test_a_distilbert_with_another_epsilon(self, tmp_path):
        config, tensors = read(FAMILIES / "distilbert")
        key = "bert.attention.layer_norm_epsilon"
        path = convert(config, tensors, tmp_path / "model.gguf", {key: 1e-5})
        with pytest.raises(AttnvizError, match="layer_norm_epsilon = 1e-05, but DistilBERT's"):
            run(path)

    def test_a_vocabulary_without_weights(self, tmp_path):
        """As llama.cpp's own tests have them: all metadata of a model, and no tensor."""
        config, _ = read(FAMILIES / "llama")
        with pytest.raises(AttnvizError, match="holds a vocabulary without weights") as error:
            run(convert(config, {}, tmp_path / "model.gguf"))
        assert error.value.hint == "take the file of the model itself"

    def test_lists_that_say_the_same_for_each_layer(self, spoil):
        assert len(run(spoil({"llama.attention.head_count_kv": [4, 4]})).records) == 2

    def test_text_without_a_tokenizer(self, spoil):
        with pytest.raises(AttnvizError, match="cannot read text"):
            attnviz.run("I saw", model=str(spoil({})))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    config, tensors = read(FAMILIES / "llama")
    path = convert(config, tensors, tmp_path_factory.mktemp("gguf") / "whole.gguf")
    return path.read_bytes()


@settings(
    deadline=2000, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_header_gives_a_model_or_one_error(whole, tmp_path, data):
    """Bytes of the metadata set at random: they may say anything of the model."""
    bad = bytearray(whole)
    places = st.integers(24, whole.index(b"token_embd"))
    changes = st.dictionaries(places, st.integers(0, 255), min_size=1, max_size=4)
    for place, value in data.draw(changes).items():
        bad[place] = value
    path = tmp_path / "bad.gguf"
    path.write_bytes(bad)
    with contextlib.suppress(AttnvizError):
        run(path)
