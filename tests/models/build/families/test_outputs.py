"""A checkpoint whose class has another output than the prediction of tokens, and lacks it or has
more: its attention is that of its class, no output is made up, and it is said what is missing."""

from __future__ import annotations

import re

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from tests.models.build.families import checkpoints, goldens


def classes():
    """A variant of each family that reads texts, and how its classes' names begin."""
    found = {}
    for variant in goldens.VARIANTS:
        (name,) = goldens.config(variant)["architectures"]
        if "ids" in goldens.cases(variant)["single"].arrays and not name.startswith("CLIP"):
            found.setdefault(goldens.model_type(variant), (variant, re.split(ENDS, name)[0]))
    return dict(found.values())


ENDS = "For|Model|LMHead|MTModel|EncoderModel"
CLASSES = classes()

HEADS = {
    "ForSequenceClassification": "score.weight",
    "ForTokenClassification": "classifier.weight",
    "ForQuestionAnswering": "qa_outputs.weight",
    "ForMultipleChoice": "classifier.weight",
}


def other_class(folder, variant, name, *heads):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    matrix = np.ones((2, 8), np.float32)
    config["architectures"] = [name] if name else None
    return checkpoints.write(folder, config, tensors | dict.fromkeys(heads, matrix))


@pytest.mark.parametrize("ending", HEADS)
@pytest.mark.parametrize("variant", CLASSES)
def test_a_head_that_does_not_fit_is_named(variant, ending, tmp_path):
    name = CLASSES[variant] + ending
    folder = other_class(tmp_path / "other", variant, name, HEADS[ending])
    case = goldens.cases(variant)["single"]
    if name.endswith("T5ForTokenClassification"):  # without its decoder
        case = case._replace(arrays={k: v for k, v in case.arrays.items() if k != "target"})
    trace = goldens.run(case, 0, folder)
    assert trace.logits is None
    assert trace.model.task == ""
    (note,) = trace.model.notes
    assert re.fullmatch(r"its file has no \S+\.weight.*, so its answers cannot be computed", note)
    for record in trace:
        expected = case.arrays[record.id][0]
        np.testing.assert_allclose(record.weights, expected, atol=2e-5)


@pytest.mark.parametrize("variant", ["bart-classifier", "gpt2-classifier", "t5-classifier"])
def test_it_writes_nothing(variant):
    model = load_model(str(goldens.FAMILIES / variant))
    with pytest.raises(AttnvizError, match="no output for the next token"):
        generate(model, read_text(model, [7, 9, 2]))


def test_the_decoder_of_mbart_reads_the_last_token_first():
    trace = attnviz.run([7, 9, 2], model=str(goldens.FAMILIES / "mbart-classifier"))
    assert trace.streams["target"].ids == (2, 7, 9)


@pytest.mark.parametrize("variant", ["bart-classifier", "t5-classifier"])
def test_the_decoder_reads_the_text_moved_by_one(variant):
    trace = attnviz.run([7, 9, 2], model=str(goldens.FAMILIES / variant))
    first = goldens.config(variant)["decoder_start_token_id"]
    assert trace.streams["target"].ids == (first, 7, 9)
    assert any("shifted by one" in note for note in trace.model.notes)


def test_without_a_first_token_it_must_be_given(tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "t5-classifier")
    del config["decoder_start_token_id"]
    folder = checkpoints.write(tmp_path / "t5", config, tensors)
    with pytest.raises(AttnvizError, match="no first token to begin with") as error:
        attnviz.run([7, 9, 2], model=str(folder))
    assert "--target" in error.value.hint
    assert attnviz.run([7, 9, 2], target=[0, 7], model=str(folder)).streams["target"].ids == (0, 7)


@pytest.mark.parametrize(
    ("variant", "name", "head", "said"),
    [
        ("bert", "BertForPreTraining", "cls.seq_relationship.weight", "not the others of BertFor"),
        ("albert", "AlbertForPreTraining", "sop_classifier.classifier.weight", "not the others of"),
        ("gpt2", "GPT2DoubleHeadsModel", "multiple_choice_head.summary.weight", "not the others"),
        ("electra", "ElectraForPreTraining", "discriminator_predictions.dense.weight", None),
        ("vit", "ViTForMaskedImageModeling", "decoder.0.weight", "not computed"),
        ("bert", None, "classifier.weight", "not the others made of classifier"),
        ("gpt2", None, "score.weight", "not the others made of score"),
        ("bert", "BertForMaskedLM", "cls.seq_relationship.weight", None),
        ("bert", "BertModel", "classifier.weight", None),
        ("vit", "ViTForImageClassification", "vit.pooler.dense.weight", None),
    ],
)
def test_others(variant, name, head, said, tmp_path):
    """Of several outputs; of files that do not name their class; of what no class reads."""
    _, tensors = checkpoints.read(goldens.FAMILIES / variant)
    heads = () if head in tensors else (head,)
    folder = other_class(tmp_path / "other", variant, name, *heads)
    notes = load_model(str(folder)).notes
    if said is None:
        assert not notes
    else:
        assert said in " ".join(notes)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v_head.summary.weight", "a value head (v_head), which is not computed"),
        ("crf.transitions", "a CRF (crf), which is not applied: labels"),
        ("linear.weight", "a projection for search (linear)"),
        ("classifier.weight", None),
        ("bert.pooler.dense.weight", None),
        ("bert.embeddings.position_ids", None),
    ],
)
def test_known_tensors_beside_a_model_are_no_reason_to_refuse(name, said, tmp_path):
    notes = load_model(str(other_class(tmp_path / "other", "bert", "BertForMaskedLM", name))).notes
    assert [said in note for note in notes] == ([] if said is None else [True])


@pytest.mark.parametrize("name", ["lstm.weight", "bert.encoder.layer.2.output.dense.bias"])
def test_unknown_tensors_are_refused_by_name(name, tmp_path):
    with pytest.raises(AttnvizError, match=f"no place for the tensor {re.escape(name)}"):
        load_model(str(other_class(tmp_path / "other", "bert", "BertForMaskedLM", name)))


@pytest.mark.parametrize(
    "name",
    ["cls.predictions.transform.dense.bias", "cls.predictions.transform.LayerNorm.weight",
     "cls.predictions.decoder.bias"],
)  # fmt: skip
def test_what_the_prediction_of_masked_tokens_lacks_is_named(name, tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "bert")
    lacking = {k: v for k, v in tensors.items() if k not in (name, "cls.predictions.bias")}
    case = goldens.cases("bert")["single"]
    trace = goldens.run(case, 0, checkpoints.write(tmp_path / "bert", config, lacking))
    assert trace.logits is None
    missing = name if name in tensors else "cls.predictions.decoder.bias"
    assert any(f"has no {missing}, so there are no logits" in note for note in trace.model.notes)
