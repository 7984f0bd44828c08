"""Which files of a folder are the model, and what is said where there is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models.sources.folder import choose_weights, missing_files
from tests.conftest import GOLDEN

WEIGHTS = GOLDEN / "bert-tiny" / "model.safetensors"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a config and no weights."""
    folder = tmp_path / "bert"
    folder.mkdir()
    shutil.copy(GOLDEN / "bert-tiny" / "config.json", folder)
    return folder


def refused(folder: Path, message: str) -> AttnvizError:
    with pytest.raises(AttnvizError, match=message) as error:
        attnviz.run([2, 7, 3], model=str(folder))
    return error.value


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestWeights:
    @pytest.mark.parametrize("name", ["bert.safetensors", "model-00001-of-00001.safetensors"])
    def test_the_only_file_is_taken_and_named(self, folder, name):
        shutil.copy(WEIGHTS, folder / name)
        assert attnviz.run([2], model=str(folder)).model.notes == (
            f"its weights are those in {name}",
        )

    def test_the_usual_name_comes_first(self, folder):
        shutil.copy(WEIGHTS, folder)
        (folder / "other.safetensors").write_text("never looked at")
        (folder / "model.safetensors.index.json").write_text("nor this")
        assert attnviz.run([2], model=str(folder)).model.notes == ()

    def test_several_files(self, folder):
        for name in ("b.safetensors", "a.safetensors"):
            shutil.copy(WEIGHTS, folder / name)
        refused(folder, "2 other files of weights: a.safetensors, b.safetensors")

    def test_a_shard_without_its_index(self, folder):
        shutil.copy(WEIGHTS, folder / "model-00001-of-00002.safetensors")
        refused(folder, r"has model-00001-of-00002.safetensors without model.safetensors.index")

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("pytorch_model.bin", "training_args.bin"), "pytorch_model.bin only, a pickle, which is never"),
            (("pytorch_model-00001-of-00002.bin",), "a pickle, which is never loaded"),
            (("consolidated.00.pth",), "a pickle, which is never loaded"),
            (("tf_model.h5",), "tf_model.h5 only, a file of TensorFlow"),
            (("flax_model.msgpack",), "flax_model.msgpack only, a file of Flax"),
            (("model.onnx",), "model.onnx only, a file of ONNX"),
            (("onnx/model.onnx",), "onnx/model.onnx only, a file of ONNX"),
            (("onnx/model.onnx", "pytorch_model.bin"), "pytorch_model.bin only, a pickle"),
        ],
        ids=str,
    )  # fmt: skip
    def test_other_formats(self, folder, names, message):
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"\x80\x02")
        edit_config(folder, architectures=["BertForMaskedLM"])
        hint = refused(folder, message).hint
        given = {
            "tf_model.h5": "folder, from_tf=True",
            "flax_model.msgpack": "folder, from_flax=True",
        }
        options = given.get(names[0], "folder")
        convert = f"BertForMaskedLM.from_pretrained({options}).save_pretrained(folder)"
        assert hint.endswith("exported from" if "onnx" in names[-1] else convert)

    @pytest.mark.parametrize("kinds", [None, [], [3], "Bert", {}])
    def test_a_config_that_names_no_class(self, folder, kinds):
        (folder / "pytorch_model.bin").touch()
        edit_config(folder, architectures=kinds)
        assert "AutoModel.from_pretrained" in refused(folder, "a pickle").hint

    def test_gguf(self, folder):
        (folder / "bert-q4.gguf").touch()
        assert "name the file: bert-q4.gguf" in refused(folder, "has no model.safetensors").hint

    def test_what_a_training_leaves_is_no_model(self, folder):
        for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state_0.pth"):
            (folder / name).touch()
        refused(folder, r"has no model\.safetensors")

    def test_nothing_but_links_that_lead_nowhere(self, folder):
        (folder / "model.safetensors").symlink_to(folder / "gone")
        refused(folder, r"has no model\.safetensors")

    def test_a_file_of_weights_is_no_folder(self):
        assert str(WEIGHTS.parent) in refused(WEIGHTS, "is not a model").hint


class TestConfig:
    def test_an_adapter(self, tmp_path):
        (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
        (tmp_path / "adapter_model.safetensors").touch()
        error = refused(tmp_path, "an adapter of org/base, which is not here")
        assert "--download" in error.hint

    def test_an_adapter_with_a_config(self, folder):
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").touch()
        refused(folder, "an adapter of a model that it does not name, which is not here")

    def test_an_adapter_whose_config_is_lost(self, folder):
        (folder / "adapter_model.safetensors").touch()
        refused(folder, r"an adapter \(LoRA or another\), not a whole model")

    @pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.bin"])
    def test_an_adapter_beside_its_base(self, folder, name):
        """What is drawn is the base, and it is said."""
        shutil.copy(WEIGHTS, folder / "model.safetensors")
        (folder / name).write_text("{}")
        trace = attnviz.run([2, 7, 3], model=str(folder))
        (note,) = trace.model.notes
        assert "adapter" in note
        assert "not applied" in note

    def test_gguf(self, tmp_path):
        (tmp_path / "b.gguf").touch()
        (tmp_path / "a.gguf").touch()
        assert str(tmp_path / "a.gguf") in refused(tmp_path, "has no config.json").hint

    @pytest.mark.parametrize("quantised", [{"quant_method": "gptq", "bits": 4}, {"bits": 4}, [1]])
    def test_quantised_weights(self, folder, quantised):
        edit_config(folder, quantization_config=quantised)
        name = "gptq" if "quant_method" in quantised else "quantization_config"
        error = refused(folder, rf"config.json: the weights are quantised \({name}\)")
        assert "GGUF" in error.hint

    @pytest.mark.parametrize(
        ("key", "name", "mode"),
        [("quantization", "MLX", "mxfp4"), ("compression_config", "compressed-tensors", "affine")],
    )
    def test_other_fields_that_say_so(self, folder, key, name, mode):
        edit_config(folder, **{key: {"bits": 4, "group_size": 64, "mode": mode}})
        refused(folder, rf"config.json: the weights are quantised \({name}\)")

    @pytest.mark.parametrize(
        "card",
        ["base_model: org/whole", "base_model:\n- org/whole\nbase_model_relation: quantized"],
    )
    def test_quantised_weights_whose_card_names_the_original(self, folder, card):
        edit_config(folder, quantization_config={"quant_method": "awq"})
        (folder / "README.md").write_text(f"---\nlicense: mit\n{card}\n---\n# Whole AWQ\n")
        assert refused(folder, "quantised").hint.endswith("made of, org/whole")

    def test_quantised_weights_that_transformers_can_dequantise(self, folder):
        edit_config(folder, quantization_config={"quant_method": "bitsandbytes"})
        assert ".dequantize().save_pretrained(new_folder)" in refused(folder, "bitsandbytes").hint

    def test_null_is_not_quantised(self, folder):
        shutil.copy(WEIGHTS, folder)
        edit_config(folder, quantization_config=None)
        assert len(attnviz.run([2], model=str(folder)).records) == 2

    @pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1', b"\xff", b'{"a": 1, "a": 2}'])
    def test_a_config_that_is_none(self, folder, content):
        (folder / "config.json").write_bytes(content)
        refused(folder, "config.json is damaged or not a JSON file")


@pytest.mark.parametrize("family", ["xlnet", "openai-gpt", "mamba", "reformer"])
def test_another_architecture_is_not_taken_for_one_of_ours(folder, family):
    shutil.copy(WEIGHTS, folder)
    edit_config(folder, model_type=family)
    refused(folder, f"the architecture '{family}' is not supported: ")


def test_an_architecture_that_nobody_has_is_not_taken_for_one_of_ours(folder):
    """No guess, and nothing internal in the list of those that are supported."""
    shutil.copy(WEIGHTS, folder)
    edit_config(folder, model_type="attentive")
    error = refused(folder, "neither attnviz nor transformers has it")
    assert error.hint.startswith("known: albert, bart, bert, ")
    assert "attnviz" not in error.hint


class TestMissing:
    """Of a download that was broken off."""

    def test_the_config(self, tmp_path):
        assert missing_files(tmp_path) == ["config.json"]

    def test_the_weights(self, folder):
        assert missing_files(folder) == ["model.safetensors"]
        (folder / "model.safetensors").touch()
        assert missing_files(folder) == []

    def test_shards(self, folder):
        places = {
            "a": "model-1.safetensors",
            "b": "model-2.safetensors",
            "c": "model-2.safetensors",
        }
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": places}))
        (folder / "model-1.safetensors").touch()
        assert missing_files(folder) == ["model-2.safetensors"]

    def test_another_format_is_not_missing(self, folder):
        (folder / "pytorch_model.bin").touch()
        assert missing_files(folder) == []


def test_names_need_no_folder():
    """Before a download only the names are known."""
    names = ["config.json", "model.safetensors.index.json", "pytorch_model.bin"]
    assert choose_weights(names, "org/name", {}) == "model.safetensors.index.json"
