"""Checkpoints in several files: as one file of the same tensors, or one error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models.formats.shards import Shards
from attnviz.models.sources.folder import INDEX
from tests.conftest import GOLDEN

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def folder(tmp_path) -> Path:
    """The tiny BERT with its tensors dealt out to two files."""
    shutil.copytree(GOLDEN / "bert-tiny", tmp_path / "bert")
    folder = tmp_path / "bert"
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: (FIRST, SECOND)[i % 2] for i, name in enumerate(sorted(tensors))}
    for shard in (FIRST, SECOND):
        save_file({n: a for n, a in tensors.items() if places[n] == shard}, folder / shard)
    write_index(folder, places)
    return folder


def write_index(folder: Path, places: object) -> None:
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index))


def read_places(folder: Path) -> dict:
    return json.loads((folder / INDEX).read_text())["weight_map"]


def refused(folder: Path, message: str) -> AttnvizError:
    with pytest.raises(AttnvizError, match=message) as error:
        attnviz.run([2, 7, 3], model=str(folder))
    assert error.value.hint
    return error.value


def test_the_same_numbers_as_in_one_file(folder):
    whole = attnviz.run([2, 7, 3], model=str(GOLDEN / "bert-tiny"))
    dealt = attnviz.run([2, 7, 3], model=str(folder))
    for one, other in zip(whole, dealt, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
    assert dealt.model.notes == ()


def test_tensors_and_rows(folder):
    shards, expected = Shards(folder / INDEX), load_file(GOLDEN / "bert-tiny/model.safetensors")
    assert dict(shards.shapes) == {name: array.shape for name, array in expected.items()}
    for name, array in expected.items():
        np.testing.assert_array_equal(shards.read(name), array)
        np.testing.assert_array_equal(shards.read(name, slice(1, 3)), array[1:3])
        assert not shards.copies(name)


def test_the_hash_is_what_sha256sum_gives(folder):
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum")
    command = "LC_ALL=C; sha256sum model-*.safetensors | sha256sum"
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, check=True)
    assert Shards(folder / INDEX).sha256() == done.stdout.decode().split()[0]


def test_the_hash_depends_on_every_file(folder):
    before = Shards(folder / INDEX).sha256()
    content = bytearray((folder / SECOND).read_bytes())
    content[-1] ^= 1
    (folder / SECOND).write_bytes(content)
    assert Shards(folder / INDEX).sha256() != before


def test_a_missing_file(folder):
    (folder / SECOND).unlink()
    refused(folder, f"is incomplete: {SECOND} of 2 files with weights is missing")
    (folder / FIRST).unlink()
    refused(folder, f"{FIRST} and 1 more of 2 files")


def test_a_link_that_leads_nowhere(folder):
    (folder / SECOND).unlink()
    os.symlink(folder / "gone", folder / SECOND)
    refused(folder, "is incomplete")


def test_a_tensor_that_is_elsewhere(folder):
    places = read_places(folder)
    name = min(places)
    write_index(folder, places | {name: SECOND})
    refused(folder, f"the tensor {name} should be in {SECOND}, but is not|does not list there")
    write_index(folder, places | {"more": FIRST})
    refused(folder, f"{INDEX}: the tensor more should be in {FIRST}, but is not")


def test_a_tensor_that_the_index_forgets(folder):
    places = read_places(folder)
    name = min(places)
    del places[name]
    write_index(folder, places)
    refused(folder, f"{FIRST} holds the tensor {name}, which the index does not list there")


@pytest.mark.parametrize(
    "place", ["../x.safetensors", "/etc/passwd", "a/b.safetensors", "C:x.safetensors", "", "x.bin", 3, None, ["x"]]
)  # fmt: skip
def test_places_that_are_no_files_of_the_folder(folder, place):
    save_file({"t": np.ones(2)}, folder.parent / "x.safetensors")
    write_index(folder, {"t": place})
    refused(folder, "the tensor t is listed in .*which is not a safetensors file in this folder")


@pytest.mark.parametrize("places", [None, [], {}, "x", 3])
def test_an_index_without_places(folder, places):
    write_index(folder, places)
    refused(folder, "expected weight_map, an object of file names")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":1,"a":1}'])
def test_an_index_that_is_none(folder, content):
    (folder / INDEX).write_bytes(content)
    refused(folder, "is damaged or not a JSON file")


def test_a_damaged_file_is_named(folder):
    (folder / SECOND).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert SECOND in refused(folder, "a Git LFS pointer").message
