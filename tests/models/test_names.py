"""Names of models and images that no file can have: one error, from Python too."""

from __future__ import annotations

import os

import pytest

import attnviz
from attnviz import AttnvizError
from attnviz.models import load_model

NAMES = {
    "x" * 5000: "File name too long",
    "a/" * 3000: "File name too long",
    "x" * 5000 + ".gguf": "File name too long",
    "x" * 5000 + ".npz": "File name too long",
    "x" * 5000 + ".toml": "File name too long",
    "\ud800": "surrogates not allowed",
    "\ud800/x": "surrogates not allowed",
    "\ud800.gguf": "surrogates not allowed",
    "a\0b": "null",
    "a\0b.toml": "null",
    "loop": "link that leads to itself",
    "loop/x": "link that leads to itself",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    (tmp_path / "file").touch()


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20] + str(len(name)))
def test_names_that_no_file_can_have(name):
    with pytest.raises(AttnvizError, match=NAMES[name]) as error:
        load_model(name)
    assert len(error.value.message) < 500
    with pytest.raises(AttnvizError, match=NAMES[name]):
        attnviz.run(image=name, model="digits")
    with pytest.raises(AttnvizError):
        attnviz.run("hi", model=name)
    with pytest.raises(AttnvizError):
        attnviz.load(name)


@pytest.mark.parametrize("name", ["file/x", "nowhere/x", "nope.gguf", ""])
def test_names_of_nothing(name):
    with pytest.raises(AttnvizError, match=r"no such (model|folder)|there is no"):
        load_model(name)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="a user who may read everything")
def test_a_folder_that_nobody_may_look_into(tmp_path):
    (tmp_path / "closed").mkdir(0o000)
    with pytest.raises(AttnvizError, match="Permission denied"):
        load_model("closed/x")
