"""`attnviz explain`: every number behind one weight."""

from __future__ import annotations

import json
import re

import pytest

import attnviz


def numbers(out, step):
    return float(re.search(rf"^{re.escape(step)} +(-?[\d.e+-]+)", out, re.MULTILINE)[1])


def test_the_numbers_follow_from_each_other(call):
    out = call("explain", "-m", "random", "I saw a saw", "--cell", "3,1", "-s", "L0.H1").out
    assert "encoder.0.self H1: query 3 saw, key 1 saw" in out
    product = numbers(out, "similarity (scaled_dot)")
    assert numbers(out, "sum = q · k") == pytest.approx(product, rel=3e-3)
    assert product * numbers(out, "scale") == pytest.approx(numbers(out, "score"), rel=3e-3)
    share = numbers(out, "exp(logit - largest)") / numbers(out, "sum over the row")
    weight = attnviz.run("I saw a saw", model="random").records[0].weights[1, 3, 1]
    assert share == pytest.approx(weight, rel=3e-3)
    assert numbers(out, "weight") == pytest.approx(weight, rel=3e-3)


def test_a_masked_cell_says_why(call):
    out = call("explain", "I saw a saw", "--cell", "0,3", "--mask", "causal").out
    assert re.search(r"^mask +masked by causal", out, re.MULTILINE)
    assert re.search(r"^logit +-inf", out, re.MULTILINE)
    assert numbers(out, "weight") == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--softcap", "2"), "2 · tanh(score / 2)"),
        (("--kv-heads", "2", "-s", "L0.H3"), "H3 (key/value head 1)"),
        (("--score", "cosine"), "products q_i · k_i of unit vectors"),
        (("--positions", "alibi"), "bias"),
        (("--score", "additive"), "similarity (additive)"),
    ],
    ids=str,
)
def test_other_stacks(call, flags, said):
    assert said in call("explain", "I saw a saw", "--cell", "3,1", *flags).out


def test_scores_that_are_no_sum_of_products_have_no_table_of_them(call):
    assert "products" not in call("explain", "I saw", "--cell", "1,0", "--score", "gaussian").out


def test_long_rows_and_wide_heads_say_what_is_left_out(call):
    text = " ".join(f"w{i}" for i in range(40))
    out = call("explain", text, "--cell", "3,1", "--d-model", "128").out
    assert "the other 16" in out
    assert "the 24 keys left out share" in out


def test_cross_attention(call):
    out = call(
        "explain",
        "I saw",
        "--kind",
        "encoder-decoder",
        "--target",
        "Ich sah es",
        "-s",
        "decoder.1.cross.H2",
        "--cell",
        "2,1",
    ).out
    assert "query 2 es, key 1 saw" in out


def test_json(call):
    content = json.loads(
        call(
            "explain", "I saw a saw", "-m", "random", "--cell", "0,3", "--mask", "causal", "--json"
        ).out
    )
    assert content["format"] == "attnviz-cell"
    assert (content["reason"], content["weight"], content["logit"]) == ("causal", 0.0, None)
    assert len(content["arrays"]["products"]) == 8


def test_on_a_checkpoint(call, minilm):
    out = call("explain", "I saw a saw", "-m", minilm, "-s", "L1.H8", "--cell", "2,3").out
    assert "query 2 saw, key 3 a" in out
    assert "the other 16" in out


def test_without_a_cell_the_most_informative_head_and_its_strongest_cell(call):
    done = call("explain", "I saw a saw", "--json")
    found = json.loads(done.out)
    trace = attnviz.run("I saw a saw", model="tagger")
    weights = trace[found["id"]].weights[found["head"], 1:-1, 1:-1]  # without [BOS] and [EOS]
    assert found["weight"] == pytest.approx(float(weights.max()), rel=1e-6)
    assert (found["query"] - 1, found["key"] - 1) == divmod(int(weights.argmax()), 4)
    shown = call("run", "I saw a saw", "--top", "1").out
    assert f"\nL{found['id'].split('.')[1]}.H{found['head']} looks" in shown
    out = " ".join(call("explain", "I saw a saw").out.split())
    assert "the most informative head, and its largest weight between ordinary tokens" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-s", "L0.H2"), "this head's largest weight between ordinary tokens"),
        (("--cell", "a,I"), "the most informative head: its rows differ most"),
        (("--cell", "a,I", "-s", "L0.H1"), None),
    ],
)
def test_what_was_chosen_is_said(call, arguments, said):
    out = " ".join(call("explain", "I saw a saw", *arguments).out.split())
    assert ("chosen" in out) == (said is not None)
    assert said is None or said in out
    if "--cell" in arguments:
        assert "query 3 a, key 1 I" in out
