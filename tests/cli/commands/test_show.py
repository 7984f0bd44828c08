"""`attnviz show`: traces again, and anybody's arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def weights(tmp_path, generator):
    """[n_layer, n_head, n_q, n_k]"""
    raw = generator.random((2, 3, 4, 6))
    array = raw / raw.sum(-1, keepdims=True)
    np.save(tmp_path / "w.npy", array)
    return array


def test_arrays_with_tokens(call, weights):
    out = call(
        "show",
        "w.npy",
        "--tokens",
        "le chat est noir",
        "--key-tokens",
        "the cat is black ! !",
        "-s",
        "L1.H2",
    ).out
    assert "w.npy · 2 layers × 3 heads · 4 queries × 6 keys" in out
    assert "queries  0 le  1 chat  2 est  3 noir" in out
    assert "keys     0 the  1 cat" in out
    assert "array.1.cross L1.H2 · weights" in out
    assert f"{weights[1, 2, 0, 0]:.2f}" in out


def test_tokens_from_files(call, weights, tmp_path):
    (tmp_path / "q.txt").write_text("le\nchat noir\n\nest\n", "utf-8")
    out = call("show", "w.npy", "--tokens", "q.txt").out
    assert "0 le  1 chat noir  2 ∅  3 est" in out


def test_without_tokens_positions_stand_for_them(call, weights):
    assert "queries  0 #0  1 #1" in call("show", "w.npy").out


def test_batch_and_array(call, tmp_path, generator):
    np.savez(tmp_path / "w.npz", a=generator.random((5, 3, 4, 4)), b=generator.random((2, 4, 4)))
    out = call("show", "w.npz", "--array", "a", "--batch", "0:4", "--top", "0").out
    assert "1 layer × 3 heads · 4 queries × 4 keys" in out
    done = call("show", "w.npz", "--array", "a", "--batch", "0")
    assert "the batch holds 5 items" in done.err


def test_one_row_and_one_column(call, tmp_path):
    np.save(tmp_path / "r.npy", np.array([0.25, 0.75]))
    assert "0.25 0.75" in call("show", "r.npy", "--tokens", "q", "--key-tokens", "a b").out
    np.save(tmp_path / "c.npy", np.ones((3, 1)))
    assert call("show", "c.npy").code == 0


@pytest.mark.parametrize("suffix", ["png", "csv", "md", "json", "npz"])
def test_any_format(call, weights, tmp_path, suffix):
    done = call("show", "w.npy", "-o", f"x.{suffix}")
    assert (done.code, done.err) == (0, f"wrote x.{suffix}\n")
    assert (tmp_path / f"x.{suffix}").stat().st_size > 100


def test_warnings_are_shown(call, tmp_path):
    weights = np.full((1, 3, 3), 1 / 3)
    weights[0, 1, 2] = np.nan
    np.save(tmp_path / "w.npy", weights)
    out = call("show", "w.npy").out
    assert "NaN or infinity in weights: head 0 row 1 column 2" in " ".join(out.split())
    assert "nan" in out


def test_stages_of_a_trace(call):
    call("run", "I saw a saw", "--keep", "all", "-o", "t.npz", "--mask", "causal")
    assert "scores" in call("show", "t.npz", "--stage", "scores", "-s", "L0.H0").out
    logits = call("show", "t.npz", "--stage", "logits", "-s", "L0.H0").out
    assert "╱ masked (causal)" in logits


def test_a_trace_becomes_another_format(call, tmp_path):
    call("run", "I saw", "-o", "t.npz")
    call("show", "t.npz", "-o", "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["records"][0]["id"] == "encoder.0.self"
