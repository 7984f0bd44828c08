"""Every class of transformers that a family's checkpoint may be of: it loads, and attention is what
it is in the golden; or it is refused for the field that makes it another model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from tests.models.build.families import checkpoints, goldens

HEADS = json.loads((goldens.FAMILIES / "heads.json").read_text())
"""Made by `tests/golden/families/heads.py`."""

REFUSED = {"is_encoder_decoder", "is_decoder"}
"""What a class changes that is a decoder out of an encoder-decoder or of an encoder."""


@pytest.mark.parametrize("name", HEADS)
def test_attention_does_not_depend_on_the_head(name, tmp_path):
    head = HEADS[name]
    case = goldens.cases(head["variant"])["single"]
    folder = checkpoints.of_class(tmp_path / name, name, head)
    if name.endswith(("ForCausalLM", "LMHeadModel")) and REFUSED & head["config"].keys():
        with pytest.raises(AttnvizError, match=r"is_decoder = True|is_encoder_decoder = False"):
            goldens.run(case, 0, folder)
        return
    expected = goldens.run(case, 0)
    records = [record.id for record in expected]
    if name.endswith(("T5EncoderModel", "T5ForTokenClassification", "ForAudioClassification")):
        # without its decoder
        case = case._replace(arrays={k: v for k, v in case.arrays.items() if k != "target"})
        records = [each for each in records if each.block == "encoder"]
    trace = goldens.run(case, 0, folder)
    assert [record.id for record in trace] == records
    for record in trace:
        np.testing.assert_array_equal(record.weights, expected[record.id].weights)
    for stack, states in trace.hidden_states.items():
        np.testing.assert_array_equal(states, expected.hidden_states[stack])


def test_every_family_is_there():
    families = {goldens.model_type(head["variant"]) for head in HEADS.values()}
    assert families == {goldens.model_type(variant) for variant in goldens.VARIANTS}


@pytest.mark.parametrize("variant", ["llama", "gpt_neox", "phi3"])
def test_a_causal_model_without_its_output_says_so(variant, tmp_path):
    """As `AutoModel` saves it under the config of the whole model."""
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    kept = {k: v for k, v in tensors.items() if k not in ("lm_head.weight", "embed_out.weight")}
    assert len(kept) < len(tensors)
    assert not config["tie_word_embeddings"]
    case = goldens.cases(variant)["single"]
    trace = goldens.run(case, 0, checkpoints.write(tmp_path / variant, config, kept))
    assert trace.logits is None
    assert any("no output matrix" in note for note in trace.model.notes)
    for record, expected in zip(trace, goldens.run(case, 0), strict=True):
        np.testing.assert_array_equal(record.weights, expected.weights)


@pytest.mark.parametrize(
    ("variant", "bias"),
    [
        ("bert", "cls.predictions.bias"),
        ("roberta", "lm_head.bias"),
        ("distilbert", "vocab_projector.bias"),
        ("albert", "predictions.bias"),
        ("electra-generator", "generator_lm_head.bias"),
    ],
)
def test_an_output_of_which_only_the_bias_is_there(variant, bias, tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    body = ("bert.", "roberta.", "distilbert.", "albert.", "electra.")
    kept = {key: tensor for key, tensor in tensors.items() if key.startswith(body)}
    kept[bias] = tensors[bias]
    case = goldens.cases(variant)["single"]
    trace = goldens.run(case, 0, checkpoints.write(tmp_path / variant, config, kept))
    assert trace.logits is None
    assert any("only the bias" in note for note in trace.model.notes)
    for record, expected in zip(trace, goldens.run(case, 0), strict=True):
        np.testing.assert_array_equal(record.weights, expected.weights)


def test_llama3_scaling_without_its_original_length(tmp_path):
    """It is then that of the model."""
    variant = "qwen2-both-sides"
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    rope = dict(config["rope_parameters"])
    assert rope.pop("original_max_position_embeddings") == config["max_position_embeddings"]
    changed = config | {"rope_parameters": rope}
    case = goldens.cases(variant)["long"]
    errors = goldens.measure(case, checkpoints.write(tmp_path / variant, changed, tensors))
    assert max(errors.attentions, errors.hidden_states) < 1e-5
