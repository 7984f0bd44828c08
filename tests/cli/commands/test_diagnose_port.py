"""`attnviz diagnose --model`: a port of a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from tests.conftest import HERE

FAMILIES = HERE / "golden" / "families"


@pytest.fixture
def port(tmp_path):
    """Saves the dump of a port as port.npz."""
    stored = np.load(HERE / "golden" / "ports.npz")

    def save(name):
        arrays = {key.split("/", 1)[1]: stored[key] for key in stored if key.startswith(f"{name}/")}
        np.savez(tmp_path / "port.npz", **arrays)
        return arrays

    return save


def words(done):
    return " ".join(done.out.split())


def test_a_port_that_matches(call, port):
    port("right")
    done = call("diagnose", "--model", FAMILIES / "llama", "--dump", "port.npz")
    assert (done.code, done.err) == (0, "")
    assert "matches all 9 stages of the dump are those of llama" in words(done)
    assert call("diagnose", "port.npz", "-m", FAMILIES / "llama").out == done.out


def test_a_mistake_outside_attention(call, port):
    port("bias-of-queries")
    done = call("diagnose", "--model", FAMILIES / "qwen2", "--dump", "port.npz")
    assert done.code == 1
    assert "decoder.0.self/weights is the first that deviates" in words(done)
    assert "your numbers are what you get with a bias left out: query (L6)" in words(done)
    content = json.loads(
        call("diagnose", "--model", FAMILIES / "qwen2", "--dump", "port.npz", "--json").out
    )
    assert content["verdict"] == "differs"
    (cause,) = content["causes"]
    assert (cause["id"], cause["equivalent"], cause["parameter"]) == ("L6", [], {"how": ["query"]})
    assert cause["rms"] < 1e-6
    assert content["first"]["stage"] == "decoder.0.self/weights"


@pytest.mark.parametrize(
    ("name", "id"), [("softmax-over-queries", "X1"), ("scale-none", "S1"), ("mask-dropped", "M6")]
)
def test_a_mistake_in_attention_is_searched_for(call, port, name, id):
    port(name)
    done = call("diagnose", "--model", FAMILIES / "llama", "--dump", "port.npz")
    assert done.code == 1
    assert f"({id})" in done.out
    assert "fix" in done.out
    content = json.loads(
        call("diagnose", "--model", FAMILIES / "llama", "--dump", "port.npz", "--json").out
    )
    assert content["causes"][0]["id"] == id
    assert content["attention"]["verdict"] == "differs"


def test_the_trace_of_another_run_with_ids_or_a_text(call, tmp_path):
    attnviz.run("I saw a saw", stages=("q", "k", "weights"), hidden_states=True).save(
        tmp_path / "trace.npz"
    )
    done = call("diagnose", "--model", "tagger", "--dump", "trace.npz", "--text", "I saw a saw")
    assert done.code == 0
    done = call("diagnose", "--model", "tagger", "--dump", "trace.npz", "--text", "I saw a bird")
    assert done.code == 1
    assert "encoder/hidden_states[0] is the first that deviates" in words(done)


def test_a_folder_of_npy_files(call, port, tmp_path):
    arrays = port("right")
    (tmp_path / "dump").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "dump" / f"{name}.npy", array)
    assert call("diagnose", "--model", FAMILIES / "llama", "--dump", "dump").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "tagger"), "there is no dump of the port"),
        (("--model", "tagger", "--dump", "none.npz"), "no such file"),
        (("--model", "tagger", "--dump", "port.npz", "--item", "1"), "has no item 1"),
        (("--model", "nothing", "--dump", "port.npz"), "nothing"),
        (("--dump", "port.npz", "--ids", "1,2"), "--ids is what a model read"),
        ((), "there is no dump"),
    ],
)
def test_errors(call, port, arguments, message):
    port("right")
    done = call("diagnose", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_dump_without_tokens_asks_for_them(call, port, tmp_path):
    arrays = port("right")
    del arrays["input_ids"]
    np.savez(tmp_path / "port.npz", **arrays)
    done = call("diagnose", "--model", FAMILIES / "llama", "--dump", "port.npz")
    assert done.code == 2
    assert "no array input_ids" in done.err
    ids = "7,9,21,33,12,40,8,30,11,29,17"
    done = call("diagnose", "--model", FAMILIES / "llama", "--dump", "port.npz", "--ids", ids)
    assert done.code == 0
