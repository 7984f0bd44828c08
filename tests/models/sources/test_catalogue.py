"""The models on this machine: what a folder and the cache hold, and what is not one."""

from __future__ import annotations

import json

import pytest

from attnviz.models import packaged
from attnviz.models.sources.catalogue import (
    MAX_DEPTH,
    Entry,
    cached_entries,
    entries_below,
    packaged_entries,
)


def checkpoint(folder, family="bert"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    return str(folder)


def test_checkpoints_below_a_folder(tmp_path):
    """Itself first, then level by level, in the order of their names."""
    near, far = checkpoint(tmp_path / "b", "mamba"), checkpoint(tmp_path / "a" / "x", "gpt-neox")
    root = checkpoint(tmp_path)
    assert entries_below(tmp_path) == [
        Entry(root, "bert", True, None),
        Entry(near, "mamba", False, None),
        Entry(far, "gpt-neox", True, None),
    ]


def test_it_looks_so_deep_and_no_deeper(tmp_path):
    inside = tmp_path.joinpath(*"abcdefgh"[:MAX_DEPTH])
    checkpoint(inside / "below")
    assert entries_below(tmp_path) == []
    name = checkpoint(inside)
    assert [entry.name for entry in entries_below(tmp_path)] == [name]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"other": 1}', "[" * 100_000, "\ud800"])
def test_configs_of_other_tools_are_no_models(tmp_path, content):
    (tmp_path / "config.json").write_text(content, "utf-8", "surrogatepass")
    assert entries_below(tmp_path) == []


def test_a_file_that_is_none_of_its_format_is_no_model(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"no such thing")
    assert entries_below(tmp_path) == []


def test_checkpoints_in_the_cache_have_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--org--tiny"
    checkpoint(repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert cached_entries() == [Entry("org/tiny", "bert", True, None)]


def test_packaged_models_have_cards():
    entries = packaged_entries()
    assert [entry.name for entry in entries] == packaged()
    assert all(entry.card and entry.supported for entry in entries)
