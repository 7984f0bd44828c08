"""What a model in a folder is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnviz.models.sources.naming import folder_name, is_generic

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def made(root: Path, path: str, card: str | None = None) -> Path:
    folder = root / path
    folder.mkdir(parents=True)
    if card is not None:
        (folder / "README.md").write_text(card, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("my-bert", "my-bert"),
        ("my-bert/model", "my-bert"),
        ("my-bert/Models/0_Transformer", "my-bert"),
        (f"x/models--org--bert/snapshots/{COMMIT}", f"org/bert@{COMMIT}"),
        (f"bert/snapshots/{COMMIT}", "bert"),
        ("my-bert/checkpoint-500", "my-bert/checkpoint-500"),
        ("my-bert/output/step_20", "my-bert/step_20"),
    ],
)
def test_by_folder(tmp_path, path, name):
    assert folder_name(made(tmp_path, path), {"_name_or_path": "other/base"}) == name


def test_a_branch_of_the_hub(tmp_path):
    repository = tmp_path / "models--org--bert"
    folder = made(repository, f"snapshots/{COMMIT}")
    made(repository, "refs")
    (repository / "refs" / "main").write_text(COMMIT)
    assert folder_name(folder, {}) == "org/bert"


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ("# all-MiniLM-L6-v2\nThis is", "all-MiniLM-L6-v2"),
        ("---\ntags:\n- x\n# a comment\n---\n\n# BERT base\n", "BERT base"),
        ("---\nmodel-index:\n- name: tuned\n  results: []\n---\n# Title", "tuned"),
        ("---\r\nmodel_name: tuned\r\n---\r\n", "tuned"),
        ("# Model Card for `org/tuned`", "org/tuned"),
        ("# Model Card for Model ID\n", "above"),
        ("# Model\n", "above"),
        ("# " + "a sentence " * 9, "above"),
        ("no heading", "above"),
        ("# a\x1b[31mb\u202e", "a␛[31mb"),
    ],
)
def test_by_its_card(tmp_path, card, name):
    found = folder_name(made(tmp_path, "above/model", card), {})
    assert found.startswith(name)
    assert "\x1b" not in found
    assert "\u202e" not in found


def test_a_name_of_its_own_is_before_the_card(tmp_path):
    assert folder_name(made(tmp_path, "mine", "# all-MiniLM-L6-v2"), {}) == "mine"


def test_nobodys_own_folder_is_a_model(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = made(tmp_path, "downloads/model")
    assert folder_name(folder, {}) == "model"
    assert folder_name(folder, {"_name_or_path": "org/base"}) == "org/base"
    for path in ("/home/somebody/model", "C:\\models\\x", "./model", "org/model", 7, None):
        assert folder_name(folder, {"_name_or_path": path}) == "model"


def test_a_card_that_is_none(tmp_path):
    folder = made(tmp_path, "above/model")
    (folder / "README.md").mkdir()
    assert folder_name(folder, {}) == "above"


@pytest.mark.parametrize("name", ["model", "Model", "snapshots", "1", "0_Transformer", COMMIT])
def test_names_that_say_nothing(name):
    assert is_generic(name)


@pytest.mark.parametrize(
    "name", ["bert", "gpt2", "tagger", "model-of-mine", "1_bert", "checkpoint-5"]
)
def test_names_that_say_something(name):
    assert not is_generic(name)
