"""Tensors by name: as they are asked for, and what does not fit is refused and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.build import tensors as build_tensors
from attnviz.models.build.tensors import Tensors
from attnviz.models.formats.safetensors import open_weights
from attnviz.nn.weights import LazyWeight
from attnviz.nn.weights import rows as table_rows
from tests.models.build.families import checkpoints, goldens

UNNEEDED = re.compile(
    r"discriminator_predictions\..*|dinov2\.embeddings\.mask_token|decoder\.project_out\.weight"
    r"|score\..*|(classification_head|bert\.pooler|esm\.contact_head)\..*|.*\.inv_freq"
)
"""Tensors of a head that is not computed, of training, and what leads to no output."""

OUTPUT = re.compile(
    r"embed_out\.weight|final_logits_bias|classifier\..*|.*\.decoder\.bias"
    r"|(cls|predictions|lm_head|vocab_\w+|generator_\w+|head|decoder)\.(?!layers|block).*"
)
"""Without them a checkpoint is that of a model without an output, or an older one."""


def needed(config, tensors):
    """The names of the tensors that attention depends on; of the layers, the first."""
    later, unneeded = re.compile(r".*\.[1-9]\..*"), UNNEEDED.pattern
    if not config.get("tie_word_embeddings", True) and "model.shared.weight" in tensors:
        # who lacks a table of its own reads the shared one, and nobody does here
        unneeded += r"|model\.(shared|encoder\.embed_tokens|decoder\.embed_tokens)\.weight"
    elif not config.get("tie_word_embeddings", True):
        unneeded += r"|(cls\.predictions|predictions|lm_head)\.bias"  # as the linear map has one
    if config["model_type"] == "pegasus":  # the file's sines are those of the formula
        unneeded += r"|model\.(en|de)coder\.embed_positions\.weight"
    if config["architectures"][0].endswith("TokenClassification"):
        unneeded += r"|classifier\..*"
    return [n for n in tensors if not re.fullmatch(unneeded, n) and not later.match(n)]


@pytest.fixture
def complaint(tmp_path):
    """What is said of a variant's checkpoint with other tensors; empty if it loads."""

    def load(config, tensors):
        folder = checkpoints.write(tmp_path, config, tensors)
        try:
            load_model(str(folder))
        except AttnvizError as error:
            return f"{error} ({error.hint})"
        return ""

    return load


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_a_missing_tensor_is_named(variant, complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    for name in needed(config, tensors):
        said = complaint(config, {other: tensors[other] for other in tensors if other != name})
        if not OUTPUT.fullmatch(name):
            name = name.replace(".LayerNorm.beta", ".LayerNorm.bias")  # as ESM's are saved
            name = name.replace(".LayerNorm.gamma", ".LayerNorm.weight")
            assert f"tensor {name} is missing" in said


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_a_transposed_tensor_is_named(variant, complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    for name in needed(config, tensors):
        tensor = tensors[name]
        turned = np.moveaxis(tensor, 0, -1)
        if turned.shape != tensor.shape:
            said = complaint(config, tensors | {name: turned})
            assert name in said
            assert str(list(turned.shape)) in said
            assert str(list(tensor.shape)) in said


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_an_unknown_tensor_is_named(variant, complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    matrix = next(name for name in tensors if name.endswith("weight") and ".0." in name)
    for extra in ("adapter.weight", matrix.replace(".0.", ".7."), f"{matrix}_2"):
        assert extra in complaint(config, tensors | {extra: tensors[matrix]})


class Memory:
    """A file of tensors in memory, and which rows were read."""

    path = "weights"

    def __init__(self, half=(), **tensors):
        self.tensors = {name.replace("_", "."): tensor for name, tensor in tensors.items()}
        self.half, self.asked = set(half), []
        self.shapes = {name: tensor.shape for name, tensor in self.tensors.items()}

    def copies(self, name):
        return name in self.half

    def read(self, name, rows=None):
        self.asked.append((name, rows))
        return self.tensors[name] if rows is None else self.tensors[name][rows]


def opened(file, *prefixes, dtype=np.float32):
    return Tensors(file, prefixes, np.dtype(dtype))


def test_a_tensor_is_taken_with_the_prefix_that_the_file_has():
    matrix = np.ones((3, 5), np.float32)
    file = Memory(model_a_weight=matrix, head_weight=2 * matrix)
    tensors = opened(file, "bert.", "model.")
    assert tensors.take("a.weight", 3, 5) is matrix
    assert tensors.take("head.weight", 3, 5)[0, 0] == 2
    assert tensors.n_parameter == 30
    tensors.finish("")
    assert tensors.has("a.weight")
    assert not tensors.outside.has("a.weight")
    assert tensors.outside.has("head.weight")


def test_an_older_spelling_of_an_ending():
    tensors = opened(Memory(a_gamma=np.ones(3, np.float32)))
    assert tensors.take("a.weight", 3, spellings={".weight": ".gamma"}).sum() == 3
    tensors.finish("")


def test_the_dtype_is_that_of_the_run():
    tensors = opened(Memory(a=np.ones(3, np.float32)), dtype=np.float64)
    assert tensors.take("a", 3).dtype == np.float64


LARGE = np.arange(700 * 301, dtype=np.float32).reshape(700, 301)
EVERY_THIRD, MIXED = slice(1, None, 3), np.random.default_rng(0).permutation(301)[:250]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("rows", [None, EVERY_THIRD, MIXED])
@pytest.mark.parametrize("transposed", [False, True])
def test_some_rows_of_a_matrix_converted_or_not(half, rows, transposed):
    file = Memory(half=["a"] if half else [], a=LARGE)
    matrix = LARGE.T if transposed else LARGE
    tensors = opened(file)
    weight = tensors.weight("a", *LARGE.shape, rows=rows, transposed=transposed)
    expected = matrix if rows is None else matrix[rows]
    assert weight.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(weight), expected)
    np.testing.assert_array_equal(table_rows(weight, np.array([2, 0])), expected[[2, 0]])


def test_a_large_matrix_is_converted_when_it_is_used_until_there_is_memory_to_keep_it():
    file = Memory(half=["a", "b"], a=LARGE, b=LARGE)
    tensors = opened(file)
    first, second = (tensors.weight(name, *LARGE.shape) for name in "ab")
    assert file.asked == []
    table_rows(first, np.array([3]))
    assert [list(rows) for _, rows in file.asked] == [[3]]
    tensors.keep(LARGE.nbytes)
    assert len(file.asked) == 1  # not before it is used
    file.asked.clear()
    for weight in (first, first, second, second):
        np.asarray(weight)
    assert file.asked == [("a", None), ("b", None), ("b", None)]


def test_what_nothing_took_is_named_unless_it_may_be_left():
    file = Memory(a=np.ones(3), position_ids=np.ones(5), b=np.ones(1), c=np.ones(1))
    tensors = opened(file)
    tensors.take("a", 3)
    with pytest.raises(AttnvizError, match="no place for the tensor b and 1 more"):
        tensors.finish(r"position\.ids")
    tensors.finish(r"position\.ids|[bc]")


@pytest.mark.parametrize(
    "before",
    ["module.", "_orig_mod.", "model._orig_mod.", "model.language_model.", "0.auto_model.",
     "module.model."],
)  # fmt: skip
@pytest.mark.parametrize("variant", ["llama", "bert", "t5", "gpt2"])
def test_what_training_puts_before_names_is_left_out(variant, before, tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    wrapped = {before + name: tensor for name, tensor in tensors.items()}
    case = goldens.cases(variant)["single"]
    folder = checkpoints.write(tmp_path, config, wrapped)
    trace, expected = goldens.run(case, 0, folder), goldens.run(case, 0)
    np.testing.assert_array_equal(trace.logits, expected.logits)
    (note,) = trace.model.notes
    left_out = note.removeprefix("the names of its tensors are read without ").split(", ")
    assert sorted(before.replace(".", " ").split()) == sorted(
        " ".join(left_out).replace(".", " ").split()
    )


def test_a_part_that_was_compiled_is_read_without_a_word_of_it(tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "bert-tagger")
    wrapped = {name.replace("bert.", "bert._orig_mod."): t for name, t in tensors.items()}
    model = load_model(str(checkpoints.write(tmp_path, config, wrapped)))
    assert model.task == "tag"
    assert model.notes == ("the names of its tensors are read without _orig_mod.",)


@pytest.mark.parametrize("variant", ["bert-tagger", "gpt2-classifier", "t5-classifier"])
@pytest.mark.parametrize("before", ["module.", "model.", "_orig_mod.model.", "model.module."])
def test_heads_are_found_behind_what_training_puts_before_names(variant, before, tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    wrapped = {before + name: tensor for name, tensor in tensors.items()}
    case = goldens.cases(variant)["single"]
    trace = goldens.run(case, 0, checkpoints.write(tmp_path, config, wrapped))
    np.testing.assert_array_equal(trace.logits, goldens.run(case, 0).logits)
    assert trace.answer is not None


@pytest.mark.parametrize(
    ("variant", "before"), [("llama", "encoder."), ("bert", "bi.encoder."), ("gpt2", "policy.")]
)
def test_a_body_in_an_unknown_model_is_found(variant, before, tmp_path):
    """Without the prefix of its class, and with tensors beside it."""
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    own = {"llama": "model.", "bert": "bert.", "gpt2": "transformer."}[variant]
    body = {
        before + name.removeprefix(own): tensor
        for name, tensor in tensors.items()
        if name.startswith(own)
    }
    extra = {"v_head.summary.weight": np.ones((1, 3), np.float32)}
    config["architectures"] = [config["architectures"][0].split("For")[0].split("LM")[0] + "Model"]
    case = goldens.cases(variant)["single"]
    trace = goldens.run(case, 0, checkpoints.write(tmp_path, config, body | extra))
    for record, expected in zip(trace, goldens.run(case, 0), strict=True):
        np.testing.assert_array_equal(record.weights, expected.weights)
    assert any(before in note for note in trace.model.notes)
    assert any("a value head (v_head)" in note for note in trace.model.notes)


def test_names_that_would_be_the_same_are_left_as_they_are(tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "bert")
    name = "bert.embeddings.LayerNorm.bias"
    twice = tensors | {f"bert._orig_mod.{name.removeprefix('bert.')}": tensors[name]}
    with pytest.raises(AttnvizError, match=r"no place for the tensor bert\._orig_mod"):
        load_model(str(checkpoints.write(tmp_path, config, twice)))


def test_one_missing_tensor_is_not_looked_for_in_the_layers():
    file = Memory(**{"layers.0.norm.weight": np.ones(3), "embed.weight": np.ones((5, 3))})
    with pytest.raises(AttnvizError, match=r"the tensor norm\.weight is missing"):
        opened(file).take("norm.weight", 3)


SCALES = {
    "MLX": ("scales", np.ones((24, 1), np.float16)),
    "GPTQ": ("qweight", np.ones((3, 24), np.int32)),
    "FP8": ("weight_scale_inv", np.ones((1, 1), np.float32)),
    "int8": ("weight_scale", np.ones((24, 1), np.float32)),
    "bitsandbytes": ("weight.absmax", np.ones(3, np.float32)),
}


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("stored", ["left out", "another shape", "the same"])
def test_quantised_weights_without_a_word_in_the_config(kind, stored, complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / "llama")
    ending, scales = SCALES[kind]
    layer = "model.layers.0.self_attn.q_proj."
    weight = tensors.pop(f"{layer}weight")
    if stored != "left out":
        columns = 3 if stored == "another shape" else weight.shape[1]
        tensors[f"{layer}weight"] = weight[:, :columns]
    said = complaint(config, tensors | {layer + ending: scales})
    assert f"the weights are quantised, as the tensor {layer}{ending} shows" in said
    assert "take the original checkpoint" in said


def test_whole_numbers_are_no_weights(complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / "llama")
    name = "model.layers.0.self_attn.q_proj.weight"
    said = complaint(config, tensors | {name: (tensors[name] * 100).astype(np.int8)})
    assert f"the tensor {name} holds whole numbers (int8)" in said


@pytest.mark.parametrize("largest", [0, 1 << 16])
def test_the_matrices_of_one_tensor(largest, generator, tmp_path, monkeypatch):
    """Each by itself, whether read at once or when it is used."""
    monkeypatch.setattr(build_tensors, "MAX_EAGER_SIZE", largest)
    stored = generator.normal(size=(3, 7, 5)).astype(np.float16)
    folder = checkpoints.write(tmp_path / "m", {}, {"experts": stored})
    file = Tensors(open_weights(folder / "model.safetensors"), (), np.dtype("f4"))
    for rows in (slice(None), slice(2, None), slice(1, None, 2)):
        plain = file.matrices("experts", 3, 7, 5, rows=rows)
        turned = file.matrices("experts", 3, 7, 5, rows=rows, transposed=True)
        for number, (one, other) in enumerate(zip(plain, turned, strict=True)):
            assert isinstance(one, LazyWeight) == (largest == 0)
            matrix = stored[number].astype(np.float32)
            assert (one.shape, other.shape) == (matrix[rows].shape, matrix.T[rows].shape)
            np.testing.assert_array_equal(np.asarray(one), matrix[rows])
            np.testing.assert_array_equal(np.asarray(other), matrix.T[rows])
            np.testing.assert_array_equal(table_rows(one, np.array([1])), matrix[rows][[1]])
    with pytest.raises(
        AttnvizError, match=r"the shape \[3, 7, 5\]; the config asks for \[3, 5, 7\]"
    ):
        file.matrices("experts", 3, 5, 7)
