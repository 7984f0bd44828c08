"""The models on this machine: what a folder and the cache hold, and what is not one."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import pytest

from attnviz.models import packaged
from attnviz.models.sources import catalogue
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


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.onnx", "onnx/model.onnx"])
def test_weights_that_are_refused_are_not_supported(tmp_path, name):
    root = checkpoint(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert entries_below(tmp_path) == [Entry(root, "bert", False, None)]
    (tmp_path / "model.safetensors").touch()
    assert entries_below(tmp_path) == [Entry(root, "bert", True, None)]


def test_quantised_weights_that_are_refused_are_not_supported(tmp_path):
    root = checkpoint(tmp_path)
    config = {"model_type": "bert", "quantization_config": {"quant_method": "gptq"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert entries_below(tmp_path) == [Entry(root, "bert", False, None)]


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


def names(folder: Path) -> list[str]:
    return [str(Path(entry.name).relative_to(folder)) for entry in entries_below(folder)]


def test_the_nearest_first_and_not_too_deep(tmp_path):
    for name in ("b/c", "a", "d/e/f/g", "h/i/j/k/l", ".hidden/m"):
        checkpoint(tmp_path / name)
    assert names(tmp_path) == ["a", ".hidden/m", "b/c", "d/e/f/g"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    checkpoint(tmp_path / "store" / "x" / "model")
    (tmp_path / "here").symlink_to("store/x")
    (tmp_path / "store" / "x" / "up").symlink_to("../..")
    (tmp_path / "loop").symlink_to("loop")
    assert names(tmp_path) == ["here/model"]


def test_what_is_not_a_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    os.mkfifo(tmp_path / "x.gguf")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").symlink_to("/dev/zero")
    (tmp_path / "b" / "config.json").mkdir(parents=True)
    with (tmp_path / "y.gguf").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "c").mkdir()
    with (tmp_path / "c" / "config.json").open("wb") as file:
        file.truncate(1 << 40)
    assert names(tmp_path) == []


@pytest.mark.parametrize("value", [["bert"], 3, None, {}, "[" * 900])
def test_types_that_are_not_names(tmp_path, value):
    text = value * 2 if value == "[" * 900 else json.dumps({"model_type": value})
    (tmp_path / "config.json").write_text(text)
    assert names(tmp_path) == []


def test_a_gguf_file_with_a_hole(tmp_path):
    """Its header says that a list of a thousand million numbers follows, which are all there."""
    n = 1_000_000_000
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 2)
    head += struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 0, n)
    with (tmp_path / "x.gguf").open("wb") as file:
        file.write(head)
        file.truncate(len(head) + n + 100)
    start = time.monotonic()
    assert names(tmp_path) == []
    assert time.monotonic() - start < 1


def test_it_says_when_there_is_too_much(tmp_path, monkeypatch):
    for number in range(9):
        checkpoint(tmp_path / f"m{number}")
    monkeypatch.setattr(catalogue, "MAX_ENTRIES", 12)
    warnings = []
    assert 1 <= len(entries_below(tmp_path, warnings.append)) < 9
    assert warnings == [
        f"note: {tmp_path} holds too much to look through all of it: name a folder in it"
    ]
    monkeypatch.undo()
    assert len(entries_below(tmp_path, warnings.append)) == 9
    assert len(warnings) == 1


@pytest.mark.parametrize("folder", ["/proc", "/sys", "/dev"])
def test_the_systems_own_folders_are_not_looked_through(folder):
    if not Path(folder).exists() or os.stat(folder).st_dev == os.stat("/").st_dev:
        pytest.skip("none of its own here")
    assert entries_below(Path(folder)) == []
