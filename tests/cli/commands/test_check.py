"""`attnviz check`: what holds of all weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from tests.conftest import HERE

SAMPLE = HERE.parent / "samples" / "arrays" / "qkv.npz"


def words(done):
    return " ".join(done.out.split())


@pytest.fixture
def dump(generator):
    """[n_batch, n_head, n, d] of q, k, v, and what attention makes of them."""
    arrays = {name: generator.normal(size=(2, 3, 5, 11)).astype(np.float32) for name in "qkv"}
    done = attnviz.attend(*arrays.values(), causal=True)
    return {**arrays, "attn_weights": done.weights, "attn_output": done.context}


def test_a_trace_of_our_own_holds(call):
    call("run", "I saw a saw", "--keep", "all", "-o", "t.npz")
    done = call("check", "t.npz")
    assert (done.code, done.err) == (0, "")
    assert "holds attentions: 2, heads: 8" in words(done)
    assert "weights, from q and k" in words(call("check", "t.npz", "--width", "120"))
    content = json.loads(call("check", "t.npz", "--json").out)
    assert content["verdict"] == "holds"
    counts = {each["name"]: (each["tested"], each["holds"]) for each in content["invariants"]}
    n = 6
    assert counts["row_sums"] == (8 * n, True)
    assert counts["recomputed weights"] == (8 * n * n, True)


def test_every_item_is_computed_again_from_q_and_k(call, tmp_path, dump):
    np.savez(tmp_path / "d.npz", **dump)
    done = call("check", "d.npz", "--causal", "--json")
    assert done.code == 0
    counts = {each["name"]: each["tested"] for each in json.loads(done.out)["invariants"]}
    assert counts["masked"] == 2 * 3 * 10
    assert counts["recomputed weights"] == 2 * 3 * 25
    assert counts["recomputed context"] == 2 * 3 * 5 * 11
    dump["attn_weights"] = dump["attn_weights"].copy()
    dump["attn_weights"][1, 2, 4, :2] = dump["attn_weights"][1, 2, 4, 1::-1]  # still sums to 1
    np.savez(tmp_path / "d.npz", **dump)
    done = call("check", "d.npz", "--causal", "--json")
    assert done.code == 1
    content = json.loads(done.out)
    assert [each["name"] for each in content["invariants"] if not each["holds"]] == [
        "recomputed weights"
    ]
    (violation,) = content["violations"]
    assert (violation["record"], violation["head"], violation["row"]) == ("array.0.self[1]", 2, 4)
    assert "attnviz diagnose d.npz" in call("check", "d.npz", "--causal").out


def test_weights_need_no_values(call, tmp_path, dump):
    np.savez(tmp_path / "d.npz", q=dump["q"], k=dump["k"], weights=dump["attn_weights"])
    content = json.loads(call("check", "d.npz", "--json").out)
    assert content["invariants"][-1]["name"] == "recomputed weights"
    assert content["verdict"] == "holds"  # without a mask, by the zeros of the weights
    assert any("no mask is stated" in reason for reason in content["not_tested"])


def test_a_leak_is_named_with_record_head_row_and_column(call, tmp_path, generator):
    weights = generator.random((2, 3, 5, 5)) * np.tri(5)
    weights /= weights.sum(-1, keepdims=True)
    weights[1, 2, 3, 3:] = weights[1, 2, 3, 3] / 2
    np.save(tmp_path / "w.npy", weights)
    assert call("check", "w.npy").code == 0
    done = call("check", "w.npy", "--causal")
    assert done.code == 1
    assert "violated 1 violations" in words(done)
    assert "nothing past the mask w[1] H2 row 3 key 4" in words(done)


def test_a_mask_of_the_other_polarity(call, tmp_path, dump):
    hidden = ~np.tri(5, dtype=bool)
    np.savez(tmp_path / "d.npz", weights=dump["attn_weights"], mask=hidden)
    done = call("check", "d.npz")
    assert done.code == 1
    assert call("check", "d.npz", "--true-is", "hidden").code == 0


def test_sinks(call, tmp_path, dump):
    np.save(tmp_path / "w.npy", dump["attn_weights"] * np.float32(0.7))
    done = call("check", "w.npy")
    assert done.code == 1
    assert "if the heads have sinks, --sinks" in words(done)
    assert "rows sum to 1 at most" not in words(done)
    done = call("check", "w.npy", "--sinks", "--width", "120")
    assert done.code == 0
    assert "rows sum to 1 at most (sinks)" in words(done)


def test_the_largest_are_listed(call, tmp_path, dump):
    np.save(tmp_path / "w.npy", dump["attn_weights"] * 2)
    done = call("check", "w.npy", "--top", "3")
    assert done.out.count("rows sum to 1  w") == 3
    assert "the largest 3 of 30" in done.out
    assert len(json.loads(call("check", "w.npy", "--json").out)["violations"]) == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.npz",), "no such file"),
        (("q.npz",), "holds no weights: q, k, v"),
        (("w.npy", "--mask", "wrong.npy"), "mask has the shape [4, 5]"),
        (("w.npy", "--true-is", "seen"), "--true-is"),
        (("w.pt",), "PyTorch"),
        (("o.npy",), "pickled"),
    ],
)
def test_what_cannot_be_tested_is_an_error(call, tmp_path, dump, arguments, message):
    np.savez(tmp_path / "q.npz", **{name: dump[name] for name in "qkv"})
    np.save(tmp_path / "w.npy", dump["attn_weights"])
    np.save(tmp_path / "wrong.npy", np.ones((4, 5), bool))
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "w.pt").write_bytes(b"PK")
    done = call("check", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.startswith("error: ")


def test_the_sample_of_half_precision(call, tmp_path, dump):
    half = {name: x.astype(np.float16) for name, x in dump.items()}
    np.savez(tmp_path / "d.npz", **half)
    done = call("check", "d.npz", "--causal", "--json")
    assert done.code == 0
    rows = next(x for x in json.loads(done.out)["invariants"] if x["name"] == "row_sums")
    assert 1e-4 < rows["worst"]["off"] < rows["worst"]["allowed"] < 1e-2


@pytest.mark.parametrize("family", ["t5-encoder", "gemma2"])
def test_a_bias_that_the_trace_does_not_keep_is_no_violation(call, family):
    model = HERE / "golden" / "families" / family
    call("run", "--ids", "7,9,21,33,12", "-m", model, "--keep", "all", "-o", "all.npz")
    done = call("check", "all.npz", "--json")
    assert done.code == 0
    assert json.loads(done.out)["invariants"][-1]["name"] == "recomputed context"
    call("run", "--ids", "7,9,21,33,12", "-m", model, "--keep", "q,k,weights", "-o", "some.npz")
    done = call("check", "some.npz", "--json")
    assert done.code == 0
    reasons = " ".join(json.loads(done.out)["not_tested"])
    assert ("a bias of positions" in reasons) == (family == "t5-encoder")


def test_a_trace_of_summaries_is_refused_with_what_to_do(call):
    call("run", "saw " * 997, "-m", "random:layers=1,heads=13", "--memory", "1MB", "-o", "t.npz")
    done = call("check", "t.npz")
    assert done.code == 2
    assert "only summaries were kept" in done.err
    assert "--memory 8GB" in done.err
