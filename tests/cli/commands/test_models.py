"""`attnviz models`: what is here, and what one of them is."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from attnviz.models import PACKAGED, packaged
from tests.conftest import GOLDEN
from tests.models.build.families.checkpoints import read
from tests.models.gguf.convert import convert


def test_the_packaged_ones_are_listed(call, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
    done = call("models")
    assert (done.code, done.err) == (0, "")
    for name in packaged():
        assert f"\n{name} " in done.out
    assert "no checkpoints in Hugging Face's cache" in done.out


@pytest.mark.parametrize("name", packaged())
def test_every_card(call, name):
    done = call("models", name, "--card")
    assert (done.code, done.err) == (0, "")
    card = json.loads((PACKAGED / name / "card.json").read_text())
    for term in ("task", "data", "licence", "recipe", "trained", "limits", "measured", "parts"):
        assert f"\n{term}" in done.out, term
    content = json.loads(call("models", name, "--json").out)
    parts = content["parts"]
    assert sum(part["n_parameter"] for part in parts) == content["n_parameter"]
    assert content["n_parameter"] == card["n_parameter"]
    for figure in card["figures"]:
        assert figure[:20] in done.out


@pytest.mark.parametrize("name", packaged())
def test_every_model_is_one_screen(call, name):
    lines = call("models", name).out.splitlines()
    assert len(lines) <= 22  # with the command above and the prompt below
    terms = {line[:12].strip() for line in lines}
    assert {
        "model",
        "ask it",
        "task",
        "trained on",
        "licence",
        "measured",
        "limits",
        "more",
    } <= terms


def test_a_file_holds_the_whole_card(call, tmp_path):
    call("models", "tagger", "-o", "short.md")
    call("models", "tagger", "--card", "-o", "whole.md")
    assert (tmp_path / "short.md").read_text() == (tmp_path / "whole.md").read_text()
    assert "recipe" in (tmp_path / "short.md").read_text()


def test_what_is_in_hugging_face_s_cache(call, monkeypatch, tmp_path):
    snapshot = tmp_path / "hub" / "models--some--bert" / "snapshots" / "abc"
    shutil.copytree(GOLDEN / "bert-tiny", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    other = tmp_path / "hub" / "models--some--other" / "snapshots" / "def"
    other.mkdir(parents=True)
    (other / "config.json").write_text('{"model_type": "mamba"}')
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found = json.loads(call("models", "--json").out)["found"]
    assert found == [
        {"name": "some/bert", "family": "bert", "supported": True},
        {"name": "some/other@def", "family": "mamba", "supported": False},
    ]


def test_a_folder_of_models(call, tmp_path):
    shutil.copytree(GOLDEN / "bert-tiny", tmp_path / "all" / "mine" / "bert")
    (tmp_path / "all" / "broken").mkdir()
    (tmp_path / "all" / "broken" / "config.json").write_text("[")
    out = call("models", "all").out
    assert "all/mine/bert" in out
    assert "broken" not in out


def test_gguf_files_in_a_folder(call, tmp_path):
    config, tensors = read(GOLDEN / "families" / "llama")
    (tmp_path / "all").mkdir()
    for name, architecture in (("a.gguf", "llama"), ("b.gguf", "mamba")):
        convert(config, tensors, tmp_path / "all" / name, {"general.architecture": architecture})
    (tmp_path / "all" / "c.gguf").write_bytes((tmp_path / "all" / "a.gguf").read_bytes()[:40])
    found = json.loads(call("models", "all", "--json").out)["found"]
    assert found == [
        {"name": "all/a.gguf", "family": "llama", "supported": True},
        {"name": "all/b.gguf", "family": "mamba", "supported": False},
    ]
    assert "llama" in call("models", found[0]["name"]).out


def test_a_folder_without_models(call, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no checkpoints in empty" in call("models", "empty").out


def test_the_folder_of_an_adapter_is_a_model(call):
    out = call("models", GOLDEN / "adapters" / "llama-plain").out
    assert "a LoRA adapter (rank 3) is merged into 4 of its matrices" in " ".join(out.split())


def test_one_checkpoint(call):
    out = call("models", GOLDEN / "bert-tiny", "--card", "--width", "100").out
    assert "encoder.0-1.self" in out
    assert "3 heads of width 4" in out
    for line in ("family     bert", "positions  learned, 23", "reads      at most 23 tokens"):
        assert f"\n{line}\n" in out
    assert re.search(r"encoder self +0-1 +3 +each its own +none +dot × 0.5\n", out)


def test_a_family_whose_name_has_a_hyphen_is_verified(call):
    out = call("models", GOLDEN / "families" / "xlm-roberta", "--width", "100").out
    assert "verified   its family, not this one: tiny checkpoints against transformers" in out


def test_how_a_decoder_attends(call):
    folder = GOLDEN / "families" / "gemma2"
    out = call("models", folder, "--card", "--tokens", "4096", "--width", "120").out
    assert "verified   its family, not this one: tiny checkpoints against transformers" in out
    assert re.search(r"decoder self +0 +4 +2: head h uses h // 2 +causal, window:size=4 ", out)
    assert re.search(r"decoder self +1 +4 +2: head h uses h // 2 +causal +dot", out)
    assert re.search(r"\n +4096 +\S+ [KMG]iB\n", out)
    content = json.loads(call("models", folder, "--json").out)
    assert [group["layers"] for group in content["attention"]] == [[0], [1]]
    assert content["verified"]["attentions"] <= 2e-5
    assert content["verified"]["of"] == "tiny checkpoints of its family"
    assert content["n_disk"] == (folder / "model.safetensors").stat().st_size


def test_an_unknown_name(call):
    done = call("models", "tager")
    assert done.code == 2
    assert "tagger" in done.err


def test_a_folder_of_the_same_name_is_not_the_packaged_model(call, tmp_path):
    (tmp_path / "tagger").mkdir()
    (tmp_path / "digits").write_text("a file")
    assert call("run", "I saw").code == 0
    assert "\nmeasured" in call("models", "tagger", "--card").out
    assert "\nmeasured" in call("models", "digits", "--card").out
    assert "no config.json" in call("run", "I saw", "-m", "./tagger").err


def test_types_that_are_none(call):
    for dtype in ("float16", "foo", "int8"):
        done = call("run", "I saw", "--dtype", dtype)
        assert done.code == 2
        assert "float32, float64" in done.err


def test_a_config_that_is_too_deep(call, monkeypatch, tmp_path):
    snapshot = tmp_path / "hub" / "models--a--j" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("[" * 100_000)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert call("models").code == 0


def test_a_path_can_be_copied(call, tmp_path):
    folder = tmp_path / "all" / ("x" * 60) / ("y" * 60)
    shutil.copytree(GOLDEN / "bert-tiny", folder)
    out = call("models", tmp_path / "all").out
    assert "…" not in out
    assert str(folder) in "".join(line.split("  ")[0].strip() for line in out.splitlines())


def test_random_is_called_random_here_too(call):
    assert "random weights" in " ".join(call("models", "random").out.split())


def test_damaged_weights(call, tmp_path):
    shutil.copytree(PACKAGED / "tagger", tmp_path / "bad")
    path = tmp_path / "bad" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    for arguments in (("models", "bad"), ("run", "I saw", "-m", "bad")):
        done = call(*arguments)
        assert done.code == 2
        assert "SHA-256" in done.err
        assert done.err.count("\n") == 2


def test_cards_speak_chinese(call):
    for name, words in (("tagger", "英文词性标注器"), ("phrases", "把简短的中文短语译成英文")):
        assert words in call("models", name, "--lang", "zh").out
    card = "".join(call("models", "tagger", "--card", "--lang", "zh", "--width", "200").out.split())
    assert "同accuracy，但模型用另一个种子训练" in card
    assert json.loads(call("models", "tagger", "--json").out)["card"]["title"].startswith("English")
