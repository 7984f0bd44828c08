"""`attnviz run`, as its users call it."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest

import attnviz
from attnviz.models.build.stack import FIELDS
from tests.conftest import HERE

SAMPLES = HERE.parent / "samples"


def test_the_first_command(call):
    done = call("run", "I saw a saw")
    assert (done.code, done.err) == (0, "")
    assert "tokens   0 [BOS]  1 I/PRON  2 saw/VERB  3 a/DET  4 saw/NOUN  5 [EOS]" in done.out
    assert "all heads" in done.out
    assert "L1.H3 looks at the next token (97%)" in done.out
    assert "rows: query, columns: key" in done.out


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_first_look_fits_a_terminal(call, width):
    """22 lines, so that the typed one and the next prompt are on the screen too."""
    out = call("run", "I saw a saw", "--width", width, "--color", "always").out
    assert len(out.splitlines()) <= 21  # and a line of what to try next


def test_wide_screens_have_more_beside_one_another(call):
    titles = {
        width: max(line.count("looks at the") for line in
                   call("run", "I saw a saw", "--width", width).out.splitlines())
        for width in (40, 80, 120, 200)
    }  # fmt: skip
    assert titles == {40: 1, 80: 2, 120: 2, 200: 3}


def test_unknown_words_are_marked(call):
    out = call("run", "The flurgs saw", "--top", "0").out
    assert re.search(r"tokens .* 2 flurgs/\w+\?  3 saw/\w+ ", out)
    assert "not in the vocabulary (tagged by endings, beginnings and shape): 2 flurgs" in " ".join(
        out.split()
    )


def test_a_model_without_attention(call, tmp_path):
    done = call("run", "I saw a saw", "-m", "tagger-word", "-o", "t.npz", "-o", "t.png")
    assert done.code == 0
    shown = call("show", "t.npz")
    assert "0 I/PRON  1 saw/VERB  2 a/DET  3 saw/VERB" in shown.out
    assert "this model has no attention" in shown.out
    for flags in (("--steps",), ("-s", "L0"), ("--mask-effect",)):
        done = call("run", "I saw", "-m", "tagger-window", *flags)
        assert done.code == 2
        assert "no attention" in done.err


def test_random_weights_are_called_random(call):
    assert "random weights" in call("run", "I saw a saw", "-m", "random").out
    assert "random weights" in call("run", "I saw a saw", "--layers", "1").out


def test_the_numbers_on_the_screen_are_those_of_the_trace(call):
    done = call("run", "-m", "random", "I saw a saw", "-s", "L1.H2")
    shown = np.array([float(x) for x in re.findall(r"\d\.\d\d", done.out)[:16]]).reshape(4, 4)
    exact = attnviz.run("I saw a saw", model="random").records[1].weights[2]
    np.testing.assert_allclose(shown, exact, atol=0.00501)


def test_several_texts(call, tmp_path):
    done = call("run", "-m", "random", "I saw", "a saw", "the saw")
    assert [done.out.count(f"0 {word}  1 saw") for word in ("I", "a", "the")] == [1, 1, 1]
    lines = call("run", "-m", "random", "I saw", "a saw", "--json").out.splitlines()
    assert [json.loads(line)["streams"]["source"]["tokens"] for line in lines] == [
        ["I", "saw"],
        ["a", "saw"],
    ]
    call("run", "-m", "random", "I saw", "a saw", "-o", "t.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t-0.npz", "t-1.npz"]
    assert attnviz.load(tmp_path / "t-1.npz").streams["source"].tokens == ("a", "saw")


def test_stdin(call, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("I saw\na 锯\n".encode())))
    assert "0 I  1 saw  2 a  3 锯" in call("run", "-m", "random", "-").out


@pytest.mark.parametrize(
    "suffix", ["npz", "safetensors", "json", "csv", "png", "svg", "pdf", "md", "txt"]
)
def test_every_format_is_written_whole_and_the_same_twice(call, tmp_path, suffix):
    contents = []
    for _ in range(2):
        done = call("run", "I saw a saw", "-o", f"x.{suffix}")
        assert (done.code, done.out, done.err) == (0, "", f"wrote x.{suffix}\n")
        contents.append((tmp_path / f"x.{suffix}").read_bytes())
    assert contents[0] == contents[1]
    assert [p.name for p in tmp_path.iterdir()] == [f"x.{suffix}"]


def test_several_files_at_once(call, tmp_path):
    call("run", "I saw", "-o", "a.png", "-o", "a.csv")
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "a.csv"}


def test_json_goes_to_stdout_and_talk_to_stderr(call):
    done = call("run", "I saw", "--json", "-o", "x.md")
    content = json.loads(done.out)
    assert content["format"] == "attnviz-trace"
    assert content["command"] == ["attnviz", "run", "I saw", "--json", "-o", "x.md"]
    assert content["arrays"]["encoder.0.self/weights"]
    assert done.err == "wrote x.md\n"


def test_what_is_saved_can_be_shown_again(call):
    first = call("run", "I saw a saw", "-s", "L0.H1").out
    call("run", "I saw a saw", "-o", "t.npz")
    assert call("show", "t.npz", "-s", "L0.H1").out == first


@pytest.mark.parametrize(("flag", "value"), [
    ("--mask", "causal"), ("--score", "cosine"), ("--temperature", "2"), ("--softcap", "1"),
    ("--positions", "rope"), ("--layers", "1"), ("--heads", "2"), ("--seed", "3"), ("--norm", "rms"),
    ("--norm-place", "pre"), ("--d-model", "16"), ("--kv-heads", "2"), ("--kind", "decoder"),
    ("--activation", "silu"), ("--d-ff", "8"), ("--d-k", "4"), ("--d-v", "4"), ("--dtype", "float64"),
])  # fmt: skip
def test_flags_and_random_options_say_the_same(call, flag, value):
    """Every field both ways, and it is told on the screen unless it is a size or the seed."""
    name = flag[2:].replace("-", "_")
    by_flag = json.loads(call("run", "I saw a saw", "-m", "random", flag, value, "--json").out)
    by_name = json.loads(call("run", "I saw a saw", "-m", f"random:{name}={value}", "--json").out)
    assert by_flag["arrays"] == by_name["arrays"]
    assert by_flag["model"]["config"] == {
        name: FIELDS[name].type and by_name["model"]["config"][name]
    }


def test_every_field_is_a_flag(call):
    text = call("run", "--help-stack").out.replace("--[no-]", "--")
    for name in FIELDS:
        assert f"--{name.replace('_', '-')}" in text


def test_switches(call):
    plain = json.loads(call("run", "I saw", "--json").out)["arrays"]
    for switch in ("--gated", "--no-embedding-scale"):
        assert json.loads(call("run", "I saw", switch, "--json").out)["arrays"] != plain


def test_toml_with_a_flag_on_top(call):
    done = call(
        "run",
        "I saw",
        "-m",
        SAMPLES / "paper-base.toml",
        "--layers",
        "1",
        "--d-model",
        "64",
        "--top",
        "0",
    )
    assert "paper-base, encoder-decoder · 1 layer × 8 heads · d_model 64" in done.out
    for kind in ("encoder self", "decoder self", "decoder cross"):
        assert f"{kind}-attention" in done.out


def test_target(call):
    out = call(
        "run",
        "I saw",
        "--kind",
        "encoder-decoder",
        "--target",
        "Ich sah es",
        "-s",
        "decoder.0.cross.H0",
    ).out
    assert "source   0 I  1 saw" in out
    assert "target   0 Ich  1 sah  2 es" in out
    assert "2 es" in out


def test_ids(call):
    assert "0 #5  1 #7" in call("run", "--ids", "5,7", "-m", "random").out


def test_a_mask_of_ones_own(call, tmp_path):
    np.save(tmp_path / "m.npy", np.array([[True, False], [True, True]]))
    out = call("run", "-m", "random", "I saw", "--mask-file", "m.npy", "-s", "L0.H0").out
    assert "0 I    1.00  ╳╳╳╳" in out
    assert "╳ masked (custom)" in out


def test_keep(call, tmp_path):
    call("run", "I saw", "--keep", "q,context", "-o", "t.npz")
    assert set(attnviz.load(tmp_path / "t.npz").records[0].kept()) == {
        "weights",
        "mask",
        "q",
        "context",
    }
    call("run", "I saw", "--keep", "all", "-o", "t.npz")
    assert len(attnviz.load(tmp_path / "t.npz").records[0].kept()) == 8


def test_only_selected_layers_are_kept(call, tmp_path):
    call("run", "I saw", "-s", "L1", "-o", "t.npz")
    assert [r.id for r in attnviz.load(tmp_path / "t.npz")] == ["encoder.1.self"]


@pytest.mark.parametrize("scale", ["all", "row", "head", "log"])
def test_scales_are_named(call, scale):
    out = call("run", "one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
               "--scale", scale, "--top", "0").out  # fmt: skip
    said = {
        "all": "scale: 0 to 1",
        "row": "of each row",
        "head": "of each head",
        "log": "logarithmic",
    }
    assert said[scale] in out


def test_steps_show_every_stage_with_its_shape(call):
    out = call(
        "run", "I saw a saw", "-m", "random", "--steps", "-s", "L0.H1", "--mask", "causal"
    ).out
    for name, shape in (("q", "[4, 4, 8]"), ("scores", "[4, 4, 4]"), ("context", "[4, 4, 8]")):
        assert re.search(rf"^{name} .*{re.escape(shape)}", out, re.MULTILINE)
    for step in (
        "1 q · queries",
        "2 k",
        "3 v",
        "4 q · k",
        "5 scores",
        "6 logits",
        "7 weights",
        "8 context",
    ):
        assert step in out
    assert "times 0.35 = 1/√8" in out
    assert "the rows sum to 1" in out
    assert "masked by causal" in out


def test_mask_effect(call):
    out = call(
        "run", "-m", "random", "I saw a saw", "--mask-effect", "--mask", "causal", "-s", "L0.H1"
    ).out
    assert "causal hides 6 of 16 cells. Without it they would take" in out.replace(
        "\n", " "
    ).replace("         ", " ")
    for title in ("without the mask", "with causal", "with causal - without"):
        assert title in out


def test_a_row_that_sees_nothing_is_reported(call, tmp_path):
    np.save(tmp_path / "m.npy", np.array([[False, False], [True, True]]))
    out = call("run", "-m", "random", "I saw", "--mask-file", "m.npy").out
    assert "queries that see no key, so their weights are zero: 0" in " ".join(out.split())


def test_one_token(call):
    done = call("run", "I")
    assert done.code == 0
    assert "1.00" in done.out


@pytest.mark.parametrize("asked", [("--stage", "scores"), ("--keep", "logits"), ("--steps",)])
def test_what_needs_whole_matrices_says_that_it_does(call, asked):
    text, model = "a b c " * 200, "random:layers=1,heads=2,d_model=8"
    done = call("run", text, "-m", model, "--memory", "2MB", *asked)
    assert done.code == 0
    assert "warning: --memory is not kept to" in done.err
    assert "is not kept to" not in call("run", text, "-m", model, *asked).err


class TestMiniLM:
    def test_text_and_pair(self, call, minilm):
        done = call("run", "Where is it?", "--pair", "On the bench.", "-m", minilm, "--top", "1")
        out = " ".join(done.out.split())
        assert "(bert), encoder · 6 layers × 12 heads" in out
        assert "0 [CLS] 1 where 2 is 3 it 4 ? 5 [SEP] 6 on 7 the 8 bench 9 . 10 [SEP]" in out
        assert "random weights" not in out

    def test_ids_are_taken_as_they_are(self, call, minilm):
        assert "0 [CLS]  1 i  2 saw" in call("run", "--ids", "101,1045,2387", "-m", minilm).out

    def test_a_change_is_said(self, call, minilm):
        out = call("run", "I saw", "-m", minilm, "--temperature", "2", "--top", "0").out
        assert "changed from what it was trained with: temperature = 2.0" in " ".join(out.split())

    def test_sinks_are_reported(self, call, minilm):
        out = call("run", "I saw a saw", "-m", minilm, "--top", "0").out
        assert "sink: the first token ([CLS]) takes" in " ".join(out.split())

    def test_png(self, call, minilm, tmp_path):
        assert call("run", "I saw a saw", "-m", minilm, "-o", "x.png").code == 0
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
