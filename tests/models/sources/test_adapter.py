"""LoRA adapters, against what PEFT computes with them: tests/golden/adapters."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from tests.conftest import GOLDEN

ADAPTERS = GOLDEN / "adapters"
NAMES = sorted(path.name for path in ADAPTERS.iterdir())
BASES = {"gpt2-conv": "gpt2-untied", "bert-tagger": "bert-tagger"}


def base(name):
    return GOLDEN / "families" / BASES.get(name, "llama-3")


def golden(name):
    with np.load(ADAPTERS / name / "golden.npz") as file:
        return dict(file)


def run(name, folder, **options):
    return attnviz.run(golden(name)["ids"].tolist(), model=str(folder), logits=True, **options)


def check(name, trace):
    expected = golden(name)
    for layer, record in enumerate(trace):
        np.testing.assert_allclose(record.weights, expected[f"layer_{layer}"], atol=1e-5)
    if trace.logits is not None and trace.logits.shape == expected["logits"].shape:
        np.testing.assert_allclose(trace.logits, expected["logits"], atol=2e-5)


@pytest.fixture
def copied(tmp_path):
    """name -> its folder in a place of its own, without its base."""

    def copy(name):
        return shutil.copytree(ADAPTERS / name, tmp_path / name)

    return copy


def edit(folder, **fields):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return folder


@pytest.mark.parametrize("name", NAMES)
class TestMerged:
    def test_alone_with_its_base_in_reach(self, name):
        trace = run(name, ADAPTERS / name)
        check(name, trace)
        notes = " ".join(trace.model.notes)
        assert f"its base is {base(name)}" in notes
        assert "a LoRA adapter" in notes

    def test_beside_the_weights_of_its_base(self, name, copied):
        folder = copied(name)
        for path in base(name).iterdir():
            shutil.copy(path, folder)
        check(name, run(name, folder))

    def test_given_with_the_base(self, name):
        check(name, run(name, base(name), adapter=str(ADAPTERS / name)))

    def test_without_it(self, name):
        """What it does is not small."""
        plain, without = run(name, base(name)), run(name, ADAPTERS / name, adapter="none")
        for first, second, adapted in zip(plain, without, run(name, ADAPTERS / name), strict=True):
            np.testing.assert_array_equal(first.weights, second.weights)
            assert np.abs(first.weights - adapted.weights).max() > 0.05
        assert "without its adapter" in without.model.notes

    def test_the_hash_is_of_both(self, name):
        hashes = {load_model(str(path)).fingerprint() for path in (base(name), ADAPTERS / name)}
        assert len(hashes) == 2


class TestBase:
    def test_beside_the_adapter(self, copied, tmp_path):
        folder = edit(copied("llama-plain"), base_model_name_or_path="org/tiny")
        shutil.copytree(base("llama-plain"), tmp_path / "tiny")
        check("llama-plain", run("llama-plain", folder))

    def test_in_the_cache(self, copied, tmp_path, monkeypatch):
        folder = edit(copied("llama-plain"), base_model_name_or_path="org/tiny")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        commit = "0123456789" * 4
        snapshots = tmp_path / "models--org--tiny"
        shutil.copytree(base("llama-plain"), snapshots / "snapshots" / commit)
        (snapshots / "refs").mkdir()
        (snapshots / "refs" / "main").write_text(commit)
        check("llama-plain", run("llama-plain", folder))

    @pytest.mark.parametrize("name", ["org/absent", "", None, 3, "/no/such/folder"])
    def test_that_is_not_here(self, copied, name, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        folder = edit(copied("llama-plain"), base_model_name_or_path=name)
        with pytest.raises(AttnvizError, match=r"holds an adapter of .*, which is not here"):
            run("llama-plain", folder)


class TestRefused:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"peft_type": "IA3"}, "an adapter of the kind IA3 is not supported"),
            ({"use_dora": True}, "use_dora = True changes the numbers"),
            ({"lora_bias": True}, "lora_bias = True changes the numbers"),
            ({"layer_replication": [[0, 1]]}, "layer_replication"),
            ({"brand_new": 2}, "brand_new = 2 changes the numbers"),
        ],
    )
    def test_other_kinds(self, copied, fields, message):
        with pytest.raises(AttnvizError, match=message):
            run(
                "llama-plain",
                base("llama-plain"),
                adapter=str(edit(copied("llama-plain"), **fields)),
            )

    def test_beside_a_base_it_is_said(self, copied):
        folder = edit(copied("llama-plain"), use_dora=True)
        for path in base("llama-plain").iterdir():
            shutil.copy(path, folder)
        trace = run("llama-plain", folder)
        assert any("is not applied, this is the base model: " in note for note in trace.model.notes)

    def change(self, folder, change):
        path = folder / "adapter_model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)
        return folder

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.pop(FIRST + "lora_A.weight"), "has only one of lora_A and lora_B"),
            (lambda t: t.update({FIRST + "lora_A.weight": np.ones((3, 17), np.float32)}), "do not fit"),
            (lambda t: t.update({"base_model.model.x.lora_A.weight": np.ones((3, 17), np.float32)}), "is not in the base"),
            (lambda t: t.update({FIRST + "lora_magnitude_vector": np.ones(3, np.float32)}), "is not understood"),
        ],
    )  # fmt: skip
    def test_tensors_that_do_not_fit(self, copied, change, message):
        folder = self.change(copied("llama-plain"), change)
        with pytest.raises(AttnvizError, match=message):
            run("llama-plain", base("llama-plain"), adapter=str(folder))

    def test_a_tied_table(self, copied):
        name = "base_model.model.transformer.wte.lora_embedding_"
        table = {f"{name}A": np.ones((2, 47), np.float32), f"{name}B": np.ones((20, 2), np.float32)}
        folder = self.change(
            copied("gpt2-conv"), lambda tensors: (tensors.clear(), tensors.update(table))
        )
        with pytest.raises(AttnvizError, match="the table of tokens, which is the output's too"):
            run("gpt2-conv", GOLDEN / "families" / "gpt2", adapter=str(folder))

    def test_there_is_none_to_leave_out(self):
        with pytest.raises(AttnvizError, match="holds no adapter that could be left out"):
            attnviz.run("I saw", model=str(GOLDEN / "families" / "llama"), adapter="none")

    def test_a_folder_without_one(self, tmp_path):
        with pytest.raises(AttnvizError, match="holds no adapter: it has no "):
            attnviz.run("I", model=str(GOLDEN / "families" / "llama"), adapter=str(tmp_path))

    def test_a_model_that_takes_none(self):
        with pytest.raises(AttnvizError, match="takes no adapter"):
            attnviz.run("I saw", model="tagger", adapter="x")


FIRST = "base_model.model.model.layers.0.self_attn.q_proj."


def test_diff_shows_before_and_after(cli):
    ids = ",".join(map(str, golden("llama-plain")["ids"]))
    done = cli("diff", "--ids", ids, "-m", ADAPTERS / "llama-plain", "--with", "adapter=none")
    assert done.returncode == 0
    assert "without its adapter" in done.stdout.decode()
    assert "the largest difference" in done.stdout.decode()
