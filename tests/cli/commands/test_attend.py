"""`attnviz attend`: one's own q, k and v."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from tests.conftest import HERE

SAMPLE = HERE.parent / "samples" / "arrays" / "qkv.npz"


@pytest.fixture
def qkv(tmp_path, generator):
    """Saved as qkv.npz: [1, n_head, n, d]."""
    arrays = {name: generator.normal(size=(1, 3, 5, 8)).astype(np.float32) for name in "qkv"}
    np.savez(tmp_path / "qkv.npz", **arrays)
    return arrays


def test_the_sample_matches_with_a_causal_mask(call):
    done = call("attend", SAMPLE, "--causal", "--tokens", "the cat sat on the mat")
    assert (done.code, done.err) == (0, "")
    assert "weights, context of the file are what its q, k and v give" in " ".join(done.out.split())
    assert "q [4, 6, 8], k, v [2, 6, 8]: [head, n, d]" in done.out
    assert "╱ masked (causal)" in done.out


def test_the_sample_does_not_match_without(call):
    done = call("attend", SAMPLE, "--top", "0")
    assert done.code == 1
    assert "they match with --causal" in done.out
    content = json.loads(call("attend", SAMPLE, "--json").out)
    assert [match["matches"] for match in content["compared"]] == [False, False]
    weights = np.array(content["arrays"]["array.0.self/weights"])
    largest = np.abs(weights - np.load(SAMPLE)["weights"]).max()
    assert content["compared"][0]["largest"] == pytest.approx(largest)


def test_a_wrong_scale_is_named(call, tmp_path, qkv):
    done = attnviz.attend(*(qkv[name] for name in "qkv"), scale=1.0)
    merged = done.context[0].swapaxes(0, 1).reshape(1, 5, 24)
    np.savez(tmp_path / "o.npz", **qkv, attn_weights=done.weights.mean(1), attn_output=merged)
    found = call("attend", "o.npz", "--top", "0")
    assert found.code == 1
    assert "they match with --scale 1\n" in found.out
    assert call("attend", "o.npz", "--top", "0", "--scale", "1").code == 0
    assert call("attend", "o.npz", "--scale", "8/8").code == 0


def test_other_formats(call, tmp_path, qkv):
    from safetensors.numpy import save_file

    right = call("attend", "qkv.npz", "--json").out
    (tmp_path / "qkv").mkdir()
    for name, array in qkv.items():
        np.save(tmp_path / "qkv" / f"{name}.npy", array)
    save_file(qkv, tmp_path / "qkv.safetensors")
    lists = {name: array.tolist() for name, array in qkv.items()}
    (tmp_path / "qkv.json").write_text(json.dumps(lists))
    for name in ("qkv", "qkv.safetensors", "qkv.json"):
        done = call("attend", name, "--json")
        assert done.err == ""
        arrays = json.loads(done.out)["arrays"]
        for stage, values in json.loads(right)["arrays"].items():
            np.testing.assert_allclose(
                np.array(arrays[stage], float), np.array(values, float), atol=1e-6
            )


def test_a_trace_is_computed_again(call, tmp_path, qkv):
    call("attend", "qkv.npz", "--causal", "--softcap", "4", "-o", "trace.npz")
    saved = attnviz.load(tmp_path / "trace.npz")
    assert saved["L0.H2"].site.mask == ("causal",)
    assert saved["L0.H2"].site.softcap == 4
    done = call("attend", "trace.npz", "--softcap", "4", "--top", "0")
    assert done.code == 0
    assert "scores, logits, weights, context of the file are" in " ".join(done.out.split())
    assert call("attend", "trace.npz", "--top", "0").code == 1


def test_the_views_of_a_trace(call, qkv):
    out = call("attend", "qkv.npz", "--stage", "scores", "-s", "L0.H2").out
    assert "L0.H2 · scores" in out
    out = call("attend", "qkv.npz", "-s", "L0.H1", "--steps", "--mask", "window:size=2").out
    assert "8 context" in out
    assert "masked by window:size=2" in out
    assert "x W_q" not in out


def test_masks_of_all_kinds(call, tmp_path, qkv):
    causal = np.tril(np.ones((5, 5)))
    np.save(tmp_path / "m.npy", causal)
    np.savez(tmp_path / "own.npz", **qkv, hidden=causal.astype(bool))

    def weights(*arguments):
        return json.loads(call("attend", *arguments, "--json").out)["arrays"][
            "array.0.self/weights"
        ]

    right = weights("qkv.npz", "--causal")
    assert weights("qkv.npz", "--mask", "causal") == right
    assert weights("qkv.npz", "--mask", "m.npy") == right
    assert weights("own.npz", "--mask", "hidden") == right
    assert weights("qkv.npz") != right


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["nope.npz"], "no such file: nope.npz", ""),
        (["qkv.npz", "--mask", "causl"], "unknown mask: 'causl'", "did you mean `causal`"),
        (["qkv.npz", "--score", "dt"], "unknown score", "known"),
        (["qkv.npz", "--scale", "x"], "--scale: expected a number", "--scale 1/8"),
        (["qkv.npz", "--bias", "x"], "--bias x: no file and no array", "bias.npy"),
        (["qkv.npz", "--align", "left"], "--align: unknown value", "known: lower_right"),
        (["qkv.npz", "--tokens", "a b"], "5 queries, but 2 tokens", "--tokens"),
        (["qkv.npz", "--window", "0"], "size: expected a whole number from 1", ""),
        (["qkv.pt"], "qkv.pt is of PyTorch's own format", "np.savez"),
        (["."], "holds no .npy files", "np.savez"),
    ],
)  # fmt: skip
def test_what_does_not_work(call, qkv, arguments, error, hint):
    done = call("attend", *arguments)
    assert (done.code, done.out) == (2, "")
    assert error in done.err.splitlines()[0]
    assert hint in done.err.splitlines()[1]


def test_a_trace_of_weights_alone(call):
    call("run", "I saw", "-o", "trace.npz")
    done = call("attend", "trace.npz")
    assert done.code == 2
    assert "there are no q, k and v among its arrays: encoder.0.self/mask" in done.err
    assert "--keep all" in done.err


def test_show_computes_what_it_cannot_draw(call, qkv):
    done = call("show", "qkv.npz", "--json")
    assert "attnviz attend" in json.loads(done.out)["model"]["notes"][0]
    arrays = json.loads(done.out)["arrays"]
    assert arrays == json.loads(call("attend", "qkv.npz", "--json").out)["arrays"]


@pytest.mark.parametrize("options", [("--causal",), ("--mask", "none")])
def test_beyond_the_budget_the_verdict_is_the_same(call, tmp_path, generator, options):
    q, k, v = (generator.normal(size=(2, 83, 5)).astype(np.float32) for _ in range(3))
    out = attnviz.attend(q, k, v, causal=True).context
    np.savez(tmp_path / "long.npz", q=q, k=k, v=v, out=out)
    whole, long = (
        call("attend", "long.npz", "--json", "--memory", memory, *options)
        for memory in ("1GB", "100KB")
    )
    assert (long.code, whole.code) == (int("none" in options),) * 2
    found, right = (json.loads(each.out) for each in (long, whole))
    assert "array.0.self/weights" not in found["arrays"]
    for mine, theirs in zip(found["compared"], right["compared"], strict=True):
        assert mine["matches"] == theirs["matches"]
        assert mine["allowed"] == pytest.approx(theirs["allowed"])
        assert mine["largest"] == pytest.approx(theirs["largest"], abs=1e-5)
