"""`attnviz flow`: which inputs reach which outputs."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import attnviz
from attnviz.analysis.flow import even_mix, flow, relative, rollout_mix
from tests.conftest import GOLDEN, HERE

IMAGE = HERE.parent / "samples" / "digits" / "3.png"


def found(call, *arguments):
    done = call("flow", *arguments, "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    return content, {name: np.array(array) for name, array in content["arrays"].items()}


def test_one_layer(call):
    weights = attnviz.run("I saw a saw", model="tagger")["encoder.0.self"].weights
    _, arrays = found(call, "I saw a saw", "--layer", "0")
    expected = 0.5 * weights.mean(0) + 0.5 * np.eye(6)
    np.testing.assert_allclose(arrays["source/shares"], expected, atol=1e-6)


def test_a_causal_model_is_held_against_an_even_spread(call):
    records = attnviz.run("abcabc", model="induction").records
    bare, even = flow(records, rollout_mix), flow(records, even_mix)
    content, arrays = found(call, "abcabc", "-m", "induction")
    expected = relative(bare, even).shares["source"]
    np.testing.assert_allclose(arrays["source/shares"], expected, atol=1e-6)
    assert any("relative to heads that spread evenly" in note for note in content["notes"])
    content, arrays = found(call, "abcabc", "-m", "induction", "--absolute")
    np.testing.assert_allclose(arrays["source/shares"], bare.shares["source"], atol=1e-6)
    assert not any("relative" in note for note in content["notes"])


@pytest.mark.parametrize("method", ["rollout", "contributions"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("I saw a saw",),
        ("abcdabcd", "-m", "induction"),
        ("我看见了一把锯子", "-m", "phrases"),
        (IMAGE, "-m", "digits"),
        ("I", "-m", "random:kind=decoder"),
    ],
    ids=["encoder", "decoder", "both", "image", "one token"],
)
def test_rows_sum_to_one(call, arguments, method):
    content, arrays = found(call, *arguments, "--method", method)
    assert content["method"] == method
    total = sum(array.sum(-1) for array in arrays.values())
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert len(total) == len(content["tokens"][content["outputs"]])


def test_what_becomes_of_a_sink_is_said(call):
    family = GOLDEN / "families" / "gpt_oss"
    done = call("flow", "--ids", "5,9,11", "-m", family, "--width", "120")
    assert "a learned sink moves nothing" in done.out


def test_the_verb_saw_comes_from_its_subject(call):
    """What is moved shows it, weights alone hardly."""
    _, moved = found(call, "I saw a saw", "--method", "contributions")
    _, seen = found(call, "I saw a saw")
    assert moved["source/shares"][2].argmax() == 1
    assert seen["source/shares"][2, 1] < 0.5 * moved["source/shares"][2, 1]


def test_a_trace_gives_what_its_text_gave(call, tmp_path):
    assert call("run", "I saw a saw", "-o", "t.npz").code == 0
    before = (tmp_path / "t.npz").read_bytes()
    _, of_text = found(call, "I saw a saw")
    _, of_trace = found(call, "t.npz")
    np.testing.assert_array_equal(of_text["source/shares"], of_trace["source/shares"])
    content, fallen_back = found(call, "t.npz", "--method", "contributions")
    assert content["method"] == "rollout"
    assert any("contributions need the model" in note for note in content["notes"])
    np.testing.assert_array_equal(fallen_back["source/shares"], of_trace["source/shares"])
    assert (tmp_path / "t.npz").read_bytes() == before


def test_weights_of_somebody_else(call, tmp_path, generator):
    weights = generator.random((2, 3, 5, 5))
    np.save(tmp_path / "w.npy", weights / weights.sum(-1, keepdims=True))
    _, arrays = found(call, "w.npy")
    assert arrays["queries/shares"].shape == (5, 5)
    np.save(tmp_path / "cross.npy", generator.random((2, 3, 5)))
    done = call("flow", "cross.npy")
    assert done.code == 2
    assert "queries and keys are not the same tokens" in done.err


def test_weights_that_are_none_are_not_drawn_as_if_they_were(call, tmp_path, generator):
    weights = generator.dirichlet(np.ones(5), (2, 5))
    np.save(tmp_path / "w.npy", 3 * weights)
    assert "10 of 10 rows do not sum to 1" in call("flow", "w.npy").out
    np.save(tmp_path / "w.npy", weights - 0.3)
    done = call("flow", "w.npy")
    assert done.code == 2
    assert "weights are shares from 0 on" in done.err


def test_a_guessed_mask_is_said(call, tmp_path, generator):
    weights = np.tril(generator.random((2, 5, 5)))
    np.save(tmp_path / "w.npy", weights / weights.sum(-1, keepdims=True))
    content, _ = found(call, "w.npy")
    assert content["notes"][-1].startswith("no mask is known; no weight lies above the diagonal")
    np.save(tmp_path / "w.npy", np.full((2, 5, 5), 0.2))
    content, _ = found(call, "w.npy")
    assert not any("no mask" in note for note in content["notes"])


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_screen(call, width):
    done = call("flow", "I saw a saw", "--width", width, "--token", "2")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= width
    words = " ".join(done.out.split())
    assert "not what it moved nor why the model answered" in words
    assert "the largest shares of output 2 saw" in words
    assert "explanation" not in words


def test_files(call, tmp_path):
    for suffix in (".png", ".svg", ".md", ".csv", ".npz"):
        assert call("flow", "I saw a saw", "-o", f"x{suffix}").code == 0
        assert (tmp_path / f"x{suffix}").stat().st_size > 500


def test_bad_input(call, tmp_path):
    call("run", "I saw", "-o", "t.npz")
    call("run", "I saw", "-s", "L1", "-o", "part.npz")
    for arguments, message in (
        ((), "there is no text"),
        (("I", "--method", "magic"), "unknown value 'magic'"),
        (("I", "--scale", "big"), "unknown value 'big'"),
        (("I", "--layer", "2"), "there is no layer 2"),
        (("I", "--token", "3"), "there is no output 3"),
        (("none.npz",), "none.npz"),
        (("t.npz", "-m", "tagger"), "it takes no model"),
        (("part.npz",), "the self-attention of every layer from 0 on"),
        (("I", "-m", "tagger-word"), "no attention"),
        (("--ids", "1,2", "-m", "digits"), "reads images, not ids"),
    ):
        done = call("flow", *arguments)
        assert done.code == 2, arguments
        assert message in done.err
        assert done.err.count("\n") == 2


class TestLong:
    """Past the budget of memory, tokens are put together in groups."""

    TEXT = "abcdefg" * 10 + "aba"

    def test_groups_and_one_output_in_full(self, call):
        content, arrays = found(call, self.TEXT, "-m", "induction", "--memory", "1KB",
                                "--token", "-2", "--absolute")  # fmt: skip
        _, whole = found(call, self.TEXT, "-m", "induction", "--absolute")
        shares, n = whole["source/shares"], 74
        assert content["steps"] == {"source": 2}
        sums = shares @ (np.arange(n)[:, None] // 2 == np.arange(37))
        np.testing.assert_allclose(arrays["source/shares"], (sums[::2] + sums[1::2]) / 2, atol=1e-6)
        assert content["output"] == n - 2
        drawn = call("flow", self.TEXT, "-m", "induction", "--memory", "1KB", "--token", "3", "-o",
                     "x.csv")  # fmt: skip
        assert drawn.code == 0, drawn.err
        with open("x.csv", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["view"].startswith("what output 3")]
        assert [row["masked"] != "" for row in rows] == [False] * 4 + [True] * (n - 4)
        np.testing.assert_allclose(arrays["source/output"], shares[[-2]], atol=1e-6)

    def test_what_is_said(self, call):
        long = call("flow", self.TEXT, "-m", "induction", "--memory", "1KB", "--token", "-2")
        assert (long.code, long.err) == (0, "")
        words = " ".join(long.out.split())
        assert "each group of tokens as a whole" in words
        assert "each cell: 2 × 2 of 74 × 74" in words
        assert "what output 72 " in words
        assert "square root" in words
        flat = call("flow", self.TEXT, "-m", "induction", "--memory", "1KB", "--scale", "all").out
        assert "half of the rows have no share above" in " ".join(flat.split())
        assert "have no share above" not in call("flow", "I saw a saw").out
        (listed,) = [line for line in long.out.splitlines() if line.startswith("the largest")]
        short = call("flow", self.TEXT, "-m", "induction", "--token", "-2").out
        assert long.out.partition(listed)[2] == short.partition(listed)[2]

    def test_a_trace_of_summaries_has_no_flow(self, call):
        assert call("run", self.TEXT, "-m", "induction", "--memory", "1KB", "-o", "t.npz").code == 0
        done = call("flow", "t.npz")
        assert done.code == 2
        assert "decoder.0.self: of this long input only a summary was kept" in done.err
        assert "attnviz flow on the text itself" in done.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--method", "contributions"), "contributions of 74 tokens need every weight"),
            (("--layer", "9"), "there is no layer 9"),
            (("--token", "74"), "there is no output 74"),
        ],
    )
    def test_bad_input(self, call, arguments, message):
        done = call("flow", self.TEXT, "-m", "induction", "--memory", "1KB", *arguments)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 2


def test_the_process(cli):
    done = cli("flow", "I saw a saw", "--method", "contributions")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"contributions" in done.stdout
    done = cli("flow", "-", "-m", "induction", stdin=b"abcabc")
    assert done.returncode == 0
    assert "out of reach" in done.stdout.decode()
