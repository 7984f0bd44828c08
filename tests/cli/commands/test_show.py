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
    assert "\nL1.H2 " in out
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
    assert "0.25  0.75" in call("show", "r.npy", "--tokens", "q", "--key-tokens", "a b").out
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


@pytest.fixture
def causal_weights(tmp_path, generator):
    """[n_head, n, n], saved as c.npy."""
    raw = np.tril(generator.random((2, 5, 5)) + 0.1)
    array = raw / raw.sum(-1, keepdims=True)
    np.save(tmp_path / "c.npy", array)
    return array


def test_masks_of_plain_arrays(call, tmp_path, causal_weights):
    visible = np.tril(np.ones((5, 5), bool))
    np.save(tmp_path / "m.npy", np.where(visible, 0, -np.inf))
    for mask in ("causal", "m.npy"):
        done = call("show", "c.npy", "--mask", mask, "-s", "L0.H0", "--stats")
        assert done.out.count("╱╱╱╱" if mask == "causal" else "╳╳╳╳") == 10
        assert "of at most 1.20 nats" in done.out  # mean of ln 2 … ln 5: keys that it sees
        assert "warning" not in done.out


def test_weights_on_masked_cells_are_drawn_and_reported(call, tmp_path, causal_weights):
    causal_weights[1, 2] = [0.2, 0.2, 0.2, 0.0, 0.4]
    np.save(tmp_path / "c.npy", causal_weights)
    out = call("show", "c.npy", "--mask", "causal", "-s", "L0.H1").out
    assert "2 #2 0.20 0.20 0.20 ╱╱╱╱ 0.40" in " ".join(out.split())
    said = " ".join(out.split())
    assert "1 of 20 masked cells have a weight; the largest is 0.4, head 1 query 2 key 4" in said
    assert "no statistics are given for these heads: L0.H1" in said
    assert "entropy" not in out


def test_a_trace_has_its_own_masks(call):
    call("run", "I saw", "-o", "trace.npz")
    done = call("show", "trace.npz", "--mask", "causal")
    assert done.code == 2
    assert "it has its own tokens, axes and masks" in done.err


def test_weights_beyond_the_budget_are_summarised(call, tmp_path, generator):
    raw = generator.random((2, 3, 97, 101), np.float32)
    weights = raw / raw.sum(-1, keepdims=True)
    np.save(tmp_path / "long.npy", weights)
    out = call("show", "long.npy", "-s", "L1.H2", "--memory", "50KB").out
    assert "97 × 101" in out
    zoomed = ("-s", "L1.H2", "--rows", "3,-1", "--keys", "0-4", "--json")
    content = json.loads(call("show", "long.npy", "--memory", "50KB", *zoomed).out)
    block = np.array(content["arrays"]["array.1.cross/summary/block"])
    np.testing.assert_allclose(block, weights[1, 2:, [3, 96], :5].swapaxes(0, 1), atol=1e-6)


def test_weights_that_look_causal_are_measured_alike_however_they_are_kept(
    call, tmp_path, generator
):
    """Without a mask; the sentences, the findings and what they rest on."""
    raw = np.tril(generator.random((3, 307, 307), np.float32))
    np.save(tmp_path / "w.npy", raw / raw.sum(-1, keepdims=True))
    for name, memory in (("kept", "1GB"), ("summarised", "50KB")):
        call("show", "w.npy", "--memory", memory, "-o", f"{name}.npz")
    said = [
        [
            line
            for line in call("show", "w.npy", "--stats", "--memory", memory).out.splitlines()
            if line.startswith(("L0.H", "entropy", "note"))
        ]
        for memory in ("1GB", "50KB")
    ]
    assert said[0] == said[1]
    assert any(line.startswith("entropy") for line in said[0])
    kept, summarised = (
        json.loads(call("heads", f"{name}.npz", "--json", "--columns", "all").out)["arrays"]
        for name in ("kept", "summarised")
    )
    assert not np.allclose(summarised["null/entropy"], np.log(307), rtol=0.1)
    for name in (name for name in kept if name.startswith(("value/", "null/"))):
        both = (np.array(each[name], float) for each in (kept, summarised))
        np.testing.assert_allclose(*both, rtol=1e-5)
