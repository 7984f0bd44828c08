"""`attnviz diff`: two texts, models, heads, files; and its exit codes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.cli.sides import Side
from attnviz.trace.selection import Selection

TEXT = "I saw a saw"


@pytest.fixture
def files(tmp_path):
    """The same run twice, its weights as a plain array, and those with an error in one head."""
    trace = attnviz.run(TEXT, mask="causal")
    trace.save(tmp_path / "a.npz")
    trace.save(tmp_path / "b.json")
    weights = np.stack([record.weights for record in trace])
    np.save(tmp_path / "w.npy", weights)
    wrong = weights.copy()
    wrong[1, 2, 3, 1] += 0.125
    np.save(tmp_path / "wrong.npy", wrong)
    wrong[1, 2, 3, 1] = np.nan
    np.save(tmp_path / "nan.npy", wrong)
    return trace


@pytest.mark.parametrize("pair", ["a.npz a.npz", "a.npz b.json", "a.npz w.npy", "w.npy b.json"])
def test_the_same_in_other_files(cli, files, pair):
    done = cli("diff", *pair.split(), "--fail-above", "0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "no difference in 168 cells of 8 heads" in done.stdout.decode()


def test_a_run_against_its_file(cli, files):
    done = cli("diff", "a.npz", TEXT, "--mask", "causal", "--fail-above", "0")
    assert (done.returncode, done.stderr) == (0, b"")


def test_exit_codes_of_a_check(cli, files):
    assert cli("diff", "a.npz", "wrong.npy").returncode == 0
    assert cli("diff", "a.npz", "wrong.npy", "--fail-above", "0.126").returncode == 0
    done = cli("diff", "a.npz", "wrong.npy", "--fail-above", "1e-5")
    assert done.returncode == 1
    told = done.stderr.decode()
    assert told.startswith("differs: encoder.1.self.H2 | array.1.self.H2: 0.125 apart at query 3 a")
    assert told.count("\n") == 1
    assert cli("diff", "a.npz", "nan.npy", "--fail-above", "9").returncode == 1
    assert cli("diff", TEXT, "I saw a cat", "--fail-above", "9").returncode == 1
    assert cli("diff", "a.npz", "missing.npz", "--fail-above", "9").returncode == 2


def test_two_texts(call):
    out = call("diff", TEXT, "I saw a big cat").out
    assert "0 [BOS]  1 I  2 saw  3 a  -4 saw  +4 big  +5 cat  5/6 [EOS]" in out
    assert "B lacks the token" in out


def test_a_mask(call):
    content = json.loads(call("diff", TEXT, "--with", "mask=causal", "--json").out)
    a, b = (
        attnviz.run(TEXT, **given)["encoder.1.self"].weights for given in ({}, {"mask": "causal"})
    )
    head = content["heads"][4]
    assert head["a"] == "encoder.1.self.H0"
    assert head["largest"] == np.abs(b[0].astype(float) - a[0]).max()
    assert head["hidden_once"] == 15
    assert content["arrays"]["encoder.1.self.H0/reasons"][0] == [0, 3, 3, 3, 3, 3]
    assert content["reasons"][3] == "in B only"
    seen = np.tri(6, dtype=bool)
    drawn = np.array(content["arrays"]["encoder.1.self.H0/difference"])
    np.testing.assert_array_equal(drawn[seen], (b[0].astype(float) - a[0])[seen])


def test_every_field_of_the_stack_can_differ(call):
    content = json.loads(
        call("diff", TEXT, "-m", "random", "--with", "seed=1", "--with", "positions=rope",
             "--stage", "scores", "--json").out
    )  # fmt: skip
    a = attnviz.run(TEXT, model="random", stages=("scores",))
    b = attnviz.run(TEXT, model="random", seed=1, positions="rope", stages=("scores",))
    for head in content["heads"]:
        id, number = head["a"].rsplit(".H", 1)
        gap = np.float64(b[id].scores[int(number)]) - a[id].scores[int(number)]
        assert head["largest"] == np.abs(gap).max()
        assert head["rms"] == pytest.approx(np.sqrt((gap**2).mean()))


def test_a_head_taken_out_changes_only_what_is_above_it(call):
    content = json.loads(call("diff", TEXT, "--without", "L0.H1", "--json").out)
    largest = {head["a"]: head["largest"] for head in content["heads"]}
    assert {name for name, gap in largest.items() if gap == 0} == {
        f"encoder.0.self.H{h}" for h in range(4)
    }
    assert content["b"]["model"]["without"] == "encoder.0.self.H1"
    assert "without encoder.0.self.H1: their output is 0" in content["b"]["model"]["notes"]


def test_two_heads(call):
    content = json.loads(call("diff", TEXT, "-s", "L0.H1", "--with", "select=L1.H2", "--json").out)
    trace = attnviz.run(TEXT)
    gap = np.float64(trace["encoder.1.self"].weights[2]) - trace["encoder.0.self"].weights[1]
    (head,) = content["heads"]
    assert (head["a"], head["b"]) == ("encoder.0.self.H1", "encoder.1.self.H2")
    np.testing.assert_array_equal(next(iter(content["arrays"].values())), gap)


def test_two_models(call):
    done = call("diff", "I saw", "-m", "random", "--with", "model=random:seed=3,layers=1")
    assert done.code == 0
    assert "only A has encoder.1.self.H0" in " ".join(done.out.split())
    done = call("diff", TEXT, "-m", "random", "--with", "model=random:kind=decoder")
    assert done.code == 2
    assert "--with select=decoder.0.self.H0" in done.err


def test_two_arrays_of_one_file(call, tmp_path, generator):
    x, y = generator.random((2, 3, 4, 4))
    np.savez(tmp_path / "x.npz", ours=x, theirs=y)
    content = json.loads(
        call("diff", "x.npz", "x.npz", "--array", "ours", "--with", "array=theirs", "--json").out
    )
    assert [head["largest"] for head in content["heads"]] == np.abs(y - x).max((1, 2)).tolist()
    content = json.loads(
        call("diff", "x.npz", "x.npz", "--array", "ours", "--with", "array=theirs", "--tokens",
             "a b c d", "--with", "tokens=a b d e", "--json").out
    )  # fmt: skip
    places = [0, 1, 3], [0, 1, 2]
    gap = y[0][np.ix_(places[1], places[1])] - x[0][np.ix_(places[0], places[0])]
    assert content["heads"][0]["largest"] == np.abs(gap).max()
    assert content["aligned"][0]["places"] == [list(places[0]), list(places[1])]


def test_ids(call):
    out = call("diff", "--ids", "3,4,5", "--with", "ids=3,5,6", "-m", "random:vocabulary=10").out
    assert "0 #3  -1 #4  2/1 #5  +2 #6" in out
    out = call("diff", "--ids", "0,1,2", "--with", "ids=2,1,2", "-m", "random:vocabulary=10").out
    assert "-0 #0  +0 #2  1 #1  2 #2" in out


def test_words(call, minilm):
    texts = "tokenizes embeddings", "tokenizes embedding"
    out = call("diff", *texts, "-m", minilm, "--words", "-s", "L0.H0").out
    assert "0 [CLS]  1 tokenizes  -2 embeddings  +2 embedding  3 [SEP]" in out


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "json", "csv", "png", "svg", "md", "txt"])
def test_every_format(call, tmp_path, suffix):
    done = call("diff", TEXT, "I saw", "-o", f"x.{suffix}", "--fail-above", "0")
    assert done.code == 1
    assert (tmp_path / f"x.{suffix}").stat().st_size > 200


def test_nan_is_null_in_json(call, files):
    content = json.loads(call("diff", "a.npz", "nan.npy", "--json", "--fail-above", "0").out)
    assert content["heads"][6]["first_nan"]["values"][1] is None
    assert (content["heads"][6]["nan"], content["fail_above"]) == (1, 0)
    assert len(content["disagreements"]) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ([], "nothing to compare", 'attnviz diff "I saw a saw" "I saw a cat"'),
        ([TEXT], "B would be the same as A", "--with mask=causal"),
        (["a", "b", "c"], "got 3 texts or files", "in quotes"),
        ([TEXT, "--with", "mask"], "expected KEY=VALUE", "--with mask=causal"),
        ([TEXT, "--with", "maks=causal"], "--with maks: B is a text", "did you mean `mask`?"),
        (["a.npz", "--with", "mask=causal"], "--with mask: a.npz is a file", "array"),
        (["a.npz", "b.json", "--mask", "causal"], "--mask is for texts", "leave out --mask"),
        (["a.npz", "b.json", "--without", "L0"], "--without is for texts", "leave out"),
        ([TEXT, "b.json", "--without", "L0"], "b.json is a file", "B"),
        ([TEXT, "I saw", "--array", "x"], "--array is for plain files", "leave out --array"),
        ([TEXT, "--with", "temperature=hot"], "expected a number, got 'hot'", "0.5"),
        ([TEXT, "I saw", "--fail-above", "nan"], "--fail-above: expected a number from 0", "1e-5"),
        ([TEXT, "I saw", "--fail-above", "-1"], "--fail-above: expected a number from 0", "1e-5"),
        ([TEXT, "I saw", "--top", "-1"], "--top: expected a number from 0", "--top 2"),
        ([TEXT, "I saw", "--stage", "score"], "unknown value 'score'", "did you mean `scores`?"),
        (["w.npy", "a.npz", "--stage", "scores"], "'scores' was not kept", "scores"),
        ([TEXT, "-s", "L0", "--with", "select=L0.H1"], "A has 4 selected heads, B 1", "one head"),
        (["--ids", "1,2", TEXT], "give a text or --ids", "--with ids="),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input(call, files, arguments, error, hint):
    done = call("diff", *arguments)
    assert done.code == 2
    assert error in done.err
    assert hint in done.err.splitlines()[1]
    assert done.out == ""


@pytest.mark.parametrize(
    ("source", "is_file"),
    [("x.npz", True), ("X.JSON", True), ("I read x.npz", False), ("npz", False), ("x.png", False)],
)
def test_what_is_taken_for_a_file(source, is_file):
    side = Side("A", source, {}, {}, Selection())
    assert (side.file is not None) == is_file


def test_a_file_whose_name_has_spaces(call, files, tmp_path):
    (tmp_path / "a.npz").rename(tmp_path / "my run.npz")
    assert call("diff", "my run.npz", "b.json", "--fail-above", "0").code == 0


def test_what_both_sides_answer(call):
    """The next letter of a text that is repeated, and of one that goes on otherwise."""
    lines = call("diff", "abcdabc", "abcdabd", "-m", "induction").out.splitlines()
    answers = [line for line in lines if line.startswith("next")]
    assert [line.split()[1] for line in answers] == ["d", "a"]
    assert lines.index(answers[0]) < next(i for i, x in enumerate(lines) if x.startswith("B  "))
