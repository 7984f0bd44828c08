"""`attnviz compare`: scores and masks side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.nn.scores import SCORES


def test_scores(call):
    out = call("compare", "additive", "dot", "scaled_dot", "cosine").out
    for name in ("additive", "dot", "scaled_dot", "cosine"):
        assert f"{name} · scores" in out
        assert f"{name} · weights" in out
    assert "dot - additive · weights" in out
    assert "entropy" in out
    assert "how sharp each score gets with the width d_k" in out
    assert "an even spread has ln 10 = 2.303 nats" in " ".join(out.split())


def test_masks(call):
    out = call("compare", "causal", "window:size=3", "-m", "random").out
    assert "causal · weights" in out
    assert "┄ masked (window:size=3)" in out
    assert "window:size=3 - causal · weights" in out
    assert "10/16" in out
    assert "how sharp" not in out


@pytest.mark.parametrize("names", [list(SCORES), ["gaussian:sigma=2", "gaussian"]], ids=str)
def test_every_score(call, names):
    assert call("compare", *names, "--widths", "4").code == 0


def test_the_same_queries_and_keys(call):
    content = json.loads(
        call("compare", "scaled_dot", "dot", "-m", "random", "--widths", "none", "--json").out
    )
    run = attnviz.run("I saw a saw", model="random", stages=("scores", "weights")).records[0]
    np.testing.assert_allclose(content["arrays"]["scaled_dot/weights"], run.weights, atol=1e-6)
    np.testing.assert_allclose(content["arrays"]["dot/scores"], run.scores * np.sqrt(8), atol=1e-5)
    assert "widths" not in content


def test_widths(call):
    content = json.loads(call("compare", "dot", "scaled_dot", "--widths", "4,64", "--json").out)
    found = {(w["score"], w["d_k"]): w["entropy"] for w in content["widths"]}
    assert found["dot", 64] < found["dot", 4] < found["scaled_dot", 4]


def test_another_text_layer_and_model(call):
    out = call(
        "compare",
        "dot",
        "cosine",
        "-m",
        "random",
        "--text",
        "the saw",
        "-s",
        "L1.H3",
        "--mask",
        "causal",
        "--widths",
        "none",
    ).out
    assert "encoder.1.self H3" in out
    assert "0 the  1 saw" in out
    assert "3/4" in out


def test_png(call, tmp_path):
    assert call("compare", "dot", "cosine", "-o", "x.png").code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_on_a_checkpoint(call, minilm):
    out = call(
        "compare", "scaled_dot", "cosine", "--text", "I saw", "-m", minilm, "--widths", "none"
    ).out
    assert "cosine · weights" in out


def test_a_text_among_the_names_and_one_without_quotes(call):
    plain = call("compare", "additive", "dot", "--text", "he ran far", "--widths", "none").out
    for words in (["he ran far"], ["--text", "he", "ran", "far"]):
        done = call("compare", "additive", "dot", *words, "--widths", "none")
        assert (done.code, done.out) == (0, plain)
    assert "unknown score or mask: 'ran'" in call("compare", "additive", "dot", "ran").err
