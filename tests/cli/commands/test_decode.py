"""`attnviz decode`: what is written, and where the decoder looked."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest

import attnviz
from attnviz.models import load_model
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from attnviz.nn.cache import ContiguousCache
from tests.conftest import GOLDEN

PHRASES = [
    ("早上好！", "Good morning!"),
    ("我看见了一把锯子", "I saw a saw"),
    ("你好！", "Hello!"),
]


@pytest.mark.parametrize(("source", "target"), PHRASES)
def test_the_phrases_of_the_readme(call, source, target):
    done = call("decode", source)
    assert (done.code, done.err) == (0, "")
    assert f"wrote    {target}\n" in done.out
    for title in (
        "encoder self-attention",
        "decoder self-attention",
        "decoder cross-attention",
        "alignment",
        "step by step",
    ):
        assert title in done.out
    assert "masked (causal)" in done.out
    assert "left: source, right: written" in done.out


def test_json(call):
    content = json.loads(call("decode", "早上好！", "--json").out)
    decoded = content["decoded"]
    assert decoded["text"] == "Good morning!"
    assert decoded["ended"] is True
    assert all(0 < p <= 1 for p in decoded["probabilities"])
    assert len(content["streams"]["target"]["tokens"]) == len(decoded["ids"])
    assert content["format"] == "attnviz-trace"


def test_steps_grow_row_by_row(call):
    out = call("decode", "早上好！", "--steps").out
    assert "step 0   reads 0 [BOS], writes Good with probability" in out
    assert "step 1   reads 1 Good, writes morning with probability" in out


def test_steps_of_a_decoder_alone(call):
    out = call("decode", "abcab", "-m", "induction", "-n", "2", "--steps").out
    assert "step 0   reads 5 b, writes c with probability" in out
    assert "step 1   reads 6 c, writes a with probability" in out
    assert out.count("decoder.1.self H") == 2
    assert "cross" not in out


def test_without_a_cache_the_same(call):
    cached, plain = (
        json.loads(call("decode", "我看见了一把锯子", "--json", "--cache", cache).out)
        for cache in ("contiguous", "none")
    )
    assert cached["decoded"]["ids"] == plain["decoded"]["ids"]
    np.testing.assert_allclose(
        cached["decoded"]["probabilities"], plain["decoded"]["probabilities"], atol=1e-5
    )


@pytest.mark.parametrize("model", [("早上好！", "-m", "phrases"), ("abcab", "-m", "induction")])
def test_a_paged_cache_changes_nothing_but_the_header(call, model):
    """Not one digit of any number: only how it was kept is said."""
    plain = call("decode", *model).out.splitlines()
    paged = call("decode", *model, "--cache", "paged", "--block-size", "3").out.splitlines()
    (told,) = [line for line in paged if line not in plain]
    n_token = len(json.loads(call("decode", *model, "--json").out)["decoded"]["ids"])
    n_token += 5 if "induction" in model else 0  # [BOS] and five letters, less the last written
    n_block = -(-n_token // 3)
    assert told == (
        f"cache    {n_block} of 64 blocks of 3 tokens hold {n_token} tokens; "
        f"{3 * n_block - n_token} places are empty"
    )
    assert [line for line in paged if line != told] == plain


@pytest.mark.parametrize(
    ("name", "text"), [("phrases", "我看见了一把锯子"), ("induction", "qwertqw")]
)
def test_cached_and_uncached_weights_agree(name, text):
    model = load_model(name)
    source = read_text(model, text)
    cached, plain = (
        generate(model, source, max_tokens=12, stages=("weights",), cache=cache)
        for cache in (ContiguousCache, None)
    )
    assert cached.written.ids == plain.written.ids
    for with_cache, without in zip(cached.steps, plain.steps, strict=True):
        for a, b in zip(with_cache.records, without.records, strict=True):
            rows = b.weights[:, -a.weights.shape[1] :]
            np.testing.assert_allclose(a.weights, rows, atol=2e-6)


def test_a_decoder_alone_goes_on(call):
    done = call("decode", "abcdefgabc", "-m", "induction", "-n", "4")
    assert "wrote    defg … stopped after 4 tokens" in done.out
    assert "all heads" in done.out


def test_more_than_it_was_trained_on_is_said(call):
    block = "abcdefghij"
    done = call("decode", 8 * block, "-m", "induction", "-n", "2", "--top", "0")
    assert "wrote    ab" in done.out
    assert "82 tokens: it was trained on at most 65" in " ".join(done.out.split())
    assert "trained on at most" not in call("decode", block, "-m", "induction", "-n", "2").out


def test_the_aligned_head_is_the_one_that_is_shown(call):
    out = call("decode", "早上好！").out
    assert "alignment · decoder.1.cross L1.H0" in out
    assert "this head was trained to look at the word that is being translated" in out
    other = call("decode", "早上好！", "-s", "decoder.0.cross.H1-3").out
    assert "the sharpest of the selected heads: the one with the lowest entropy" in other


def test_a_beginning_of_the_target(call):
    content = json.loads(call("decode", "我看见了一把锯子", "--target", "I saw", "--json").out)
    assert content["decoded"]["text"] == "a saw"
    assert content["decoded"]["n_given"] == 3


def test_run_shows_the_model_s_own_translation(call):
    out = call("run", "早上好！", "-m", "phrases", "--top", "0").out
    assert "target   0 [BOS]  1 Good  2 morning  3 !" in out


def test_characters_it_does_not_know(call):
    done = call("decode", "你饕餮！")
    assert done.code == 0
    assert "not in the vocabulary: 1 饕  2 餮" in done.out


def test_what_is_claimed_was_compared(call):
    assert "checked " in call("decode", "早上好！").out
    assert "(decoder.1.cross)" in call("decode", "早上好！", "-s", "decoder.1.cross.H0").out
    assert "checked " not in call("decode", "早上好！", "-s", "encoder.0.self").out


def test_characters_it_lacks_keep_their_own_label(call):
    out = call("decode", "ab?cab?c", "-m", "induction", "-n", "2", "--top", "0").out
    assert "not in the vocabulary: 3 ?  7 ?" in out
    assert "tokens   0 [BOS]  1 a  2 b  3 ?  4 c" in out


def test_every_step_is_in_the_csv(call):
    call("decode", "早上好！", "--steps", "-o", "s.csv")
    with open("s.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sizes = Counter(row["view"] for row in rows)
    for step in range(4):
        assert sizes[f"step {step} · decoder.1.self H0"] == (step + 1) ** 2
        assert sizes[f"step {step} · decoder.1.cross H0"] == 5 * (step + 1)
    trace = attnviz.run("早上好！", model="phrases")
    exact = trace["decoder.1.self"].weights[0]
    for row in rows:
        if row["view"] == "step 3 · decoder.1.self H0":
            i, j = int(row["row"]), int(row["column"])
            if j > i:
                assert row["masked"] in ("causal", "not read yet")
            else:
                assert float(row["value"]) == pytest.approx(exact[i, j], abs=1e-5)


def test_nearly_certain_is_not_certain(call):
    out = call("decode", "早上好！").out
    assert ">0.9999" in out
    assert "1.0000" not in out


def test_the_target_is_said_to_be_the_model_s_own(call):
    said = "the target is what the model itself writes"
    assert said in call("run", "早上好！", "-m", "phrases", "--top", "0").out
    given = call("run", "早上好！", "-m", "phrases", "--target", "Good", "--top", "0").out
    assert said not in given


def test_files(call, tmp_path):
    for suffix in (".png", ".svg", ".md", ".csv", ".npz", ".txt"):
        assert call("decode", "早上好！", "-o", f"x{suffix}").code == 0
        assert (tmp_path / f"x{suffix}").stat().st_size > 500
    trace = attnviz.load(tmp_path / "x.npz")
    assert {record.id for record in trace} >= {
        "encoder.0.self",
        "decoder.0.self",
        "decoder.0.cross",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hello", "-m", "tagger"), "writes no text"),
        (("hello", "-m", "random:kind=decoder"), "writes no text"),
        (("早上好", "-n", "0"), "expected at least 1"),
        (("abc", "-m", "induction", "--target", "x"), "does not read a target"),
        (("早上好", "--steps", "-s", "L7"), "no such layer"),
        (("早上好", "--steps", "-s", "encoder.0.self"), "none of the decoder's attention"),
        (("abc", "-m", "induction", "--cache", "page"), "unknown value 'page'"),
        (("abc", "-m", "induction", "--cache", "paged", "--kv-blocks", "0"), "0 blocks"),
        (("abc", "-m", "induction", "--cache", "paged", "--block-size", "-1"), "-1 tokens"),
        (("abc", "-m", "induction", "--cache", "paged", "--kv-blocks", "9" * 18), "no memory"),
        (
            ("abc", "-m", "induction", "--cache", "paged", "--kv-blocks", "2", "--block-size", "3"),
            "blocks of 3 tokens needed: 1, free: 0 of 2",
        ),
        (("",), "empty"),
        (("早" * 500,), "reads at most"),
    ],
)
def test_bad_input(call, arguments, message):
    done = call("decode", *arguments)
    assert done.code == 2
    assert re.search(message, done.err)
    assert done.err.count("\n") == 2


@pytest.fixture
def ruled(tmp_path):
    folder = tmp_path / "ruled"
    shutil.copytree(GOLDEN / "families" / "bart", folder)
    settings = {
        "forced_bos_token_id": 17, "suppress_tokens": [1, 3, 4, 5, 6], "num_beams": 4,
        "decoder_start_token_id": 2, "eos_token_id": 2,
    }  # fmt: skip
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


def test_the_rules_of_the_checkpoint_are_said(call, ruled):
    done = call("decode", "--ids", "7,9,21", "-m", ruled, "-n", "3")
    text = " ".join(done.out.split())
    assert (
        "rules forced_bos_token_id 17, suppress_tokens (5), from generation_config.json; 1 token "
        "is not the most probable one generation_config.json asks for num_beams 4; decoding here "
        "is greedy"
    ) in text
    assert "ruled out" in text


def test_no_rules(call, ruled):
    done = call("decode", "--ids", "7,9,21", "-m", ruled, "-n", "3", "--no-rules")
    assert done.code == 0
    assert "rules" not in done.out
    assert "greedy" not in done.out


def test_rules_in_data(call, ruled):
    decoded = json.loads(call("decode", "--ids", "7,9,21", "-m", ruled, "-n", "3", "--json").out)
    assert decoded["decoded"]["rules"] == {
        "forced_bos_token_id": 17,
        "suppress_tokens": [1, 3, 4, 5, 6],
    }
    assert decoded["decoded"]["ids"][0] == 17
    assert [id is None for id in decoded["decoded"]["instead_of"]] == [False, True, True]
