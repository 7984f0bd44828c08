"""Every sample runs."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import attnviz
from tests.conftest import HERE

SAMPLES = HERE.parent / "samples"


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.toml")), ids=lambda p: p.name)
def test_stacks(path):
    trace = attnviz.run("I saw a saw", model=str(path))
    assert not trace.model.trained


def test_dive_into_deep_learning():
    done = subprocess.run(
        [sys.executable, SAMPLES / "d2l_attention.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("[[ 2.  3.  4.  5.]\n [10. 11. 12. 13.]]") == 2
    assert "[[0.5    0.5    0." in done.stdout


def test_sentences(cli):
    done = cli("run", *(SAMPLES / "sentences.txt").read_text("utf-8").splitlines(), "--top", "0")
    assert done.returncode == 0
    assert done.stdout.count(b"\nall heads") == 5


def test_queries_keys_and_values(tmp_path):
    """The file is what its script writes, and attention computes what it holds."""
    script, written = SAMPLES / "arrays" / "make.py", tmp_path / "qkv.npz"
    subprocess.run([sys.executable, script, written], check=True)
    sample, again = np.load(SAMPLES / "arrays" / "qkv.npz"), np.load(written)
    assert sample.files == again.files
    for name in sample.files:
        np.testing.assert_allclose(sample[name], again[name], atol=1e-6)
    done = attnviz.attend(sample["q"], sample["k"], sample["v"], causal=True)
    np.testing.assert_allclose(done.weights, sample["weights"], atol=1e-6)
    np.testing.assert_allclose(done.context, sample["out"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "params", "causes", "operator"),
    [
        ("correct", "params", [], "SelfAttention, calcType 3 (PA_ENCODER)"),
        ("qkscale-left-at-1", "params", ["S1"], "SelfAttention, calcType 3 (PA_ENCODER)"),
        ("paged", "paged", [], "PagedAttention, calcType 0 (CALC_TYPE_UNDEFINED)"),
        (
            "block-table-ignored",
            "paged",
            ["K2"],
            "PagedAttention, calcType 0 (CALC_TYPE_UNDEFINED)",
        ),
    ],
)
def test_ascend(tmp_path, cli, name, params, causes, operator):
    """The dumps are what their script writes, and what was done wrongly in them is found."""
    folder = SAMPLES / "diagnose" / "ascend"
    subprocess.run([sys.executable, folder / "make.py", tmp_path], check=True)
    params = f"{params}.json"
    assert (tmp_path / params).read_bytes() == (folder / params).read_bytes()
    sample, again = np.load(folder / f"{name}.npz"), np.load(tmp_path / f"{name}.npz")
    assert sample.files == again.files
    for array in sample.files:
        np.testing.assert_allclose(sample[array], again[array], atol=1e-3)
    how = ("--spec", "atb", "--params", folder / params, "--json")
    done = cli("diagnose", folder / f"{name}.npz", *how)
    assert done.returncode == (1 if causes else 0)
    found = json.loads(done.stdout)
    assert found["verdict"] == ("differs" if causes else "match")
    assert [cause["id"] for cause in found["causes"]][:1] == causes
    assert found["reading"][0].startswith(f"ATB's {operator}")
