"""`attnviz heads`: what every head does, from every kind of source, in every format."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.query import Query
from attnviz.analysis.roles import METRICS_OF_ROLES, ROLES
from attnviz.cli.commands.heads import Asked
from attnviz.cli.figure_options import FigureOptions
from attnviz.views.numbers import short

IMAGE = Path(__file__).parents[3] / "samples" / "digits" / "3.png"

REPEATED = "KXQWJDKXQMWJDZKXQWBJDMZKXQW"


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def names_in(out):
    """The heads of the table, in order."""
    start = out.splitlines().index("heads")
    lines = [line.split() for line in out.splitlines()[start:]]
    return [line[0] for line in lines if line and line[0][0] == "L"]


@pytest.fixture
def saved(call, tmp_path):
    call("heads", REPEATED, "-m", "induction", "-o", "h.npz", "-o", "h.csv")
    return tmp_path


def test_a_text(call):
    done = call("heads", REPEATED, "-m", "induction")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    table = lines.index("heads")
    assert lines[table + 1].split()[:3] == ["spread", "distance", "previous"]
    assert lines[table + 2].split()[:4] == ["head", "role", "(keys)", "(tokens)"]
    assert lines[table + 4].split()[:2] == ["even", "(null)"]
    assert "L0.H2  previous-token" in done.out
    words = " ".join(done.out.split())
    assert "induction L1.H3 where a token comes again, looks at what followed it" in words
    assert "; also L1.H0, L1.H1, L1.H2 " in words
    assert re.search(r"\d+ of \d+ columns left out: .*, looks at; ", words)
    assert "next token" not in words  # which is not defined under a causal mask
    assert names_in(done.out) == [f"L{layer}.H{head}" for layer in (0, 1) for head in range(4)]


def test_eight_heads_are_one_screen(call):
    """With the command above and the prompt below."""
    assert len(call("heads", "I saw a saw").out.splitlines()) <= 22


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_fits(call, width):
    out = call("heads", REPEATED, "-m", "induction", "--width", width, "--columns", "all").out
    assert max(map(len, out.splitlines())) <= width
    for name in ("sink_share", "verticality", "prefix_matching"):
        assert name in out


def test_one_period_is_doubted(call):
    out = call("heads", "BDFKQWXZ" * 4, "-m", "induction").out
    assert "everything that repeats here does so every 8 tokens" in " ".join(out.split())


def test_a_sink_is_reported(call, tmp_path):
    weights = np.zeros((2, 8, 8))
    weights[..., 0] = 1
    np.save(tmp_path / "w.npy", weights)
    out = call("heads", "w.npy").out
    assert "L0.H0 looks at #0 (sink, 100%); also L0.H1" in out.replace("“", "").replace("”", "")
    assert "sink: the first token (#0) takes 100% of all weights" in out


def test_random_weights_are_called_random(call):
    assert call("heads", "I saw a saw", "-m", "random").out.startswith("model    random")


def test_csv_holds_everything(saved):
    rows = rows_of((saved / "h.csv").read_text())
    assert [row["id"] for row in rows] == ["decoder.0.self"] * 4 + ["decoder.1.self"] * 4
    for name in METRICS:
        assert {name, f"{name}_null", f"{name}_rows"} <= rows[0].keys()
    assert rows[2]["role"] == "previous-token"
    assert float(rows[2]["previous_token"]) > 0.9 > float(rows[2]["previous_token_null"])
    assert rows[0]["next_token"] == ""  # not defined under a causal mask
    assert float(rows[2]["best_offset"]) == -1


def test_its_own_file_is_read_again(call, saved):
    again = call("heads", "h.npz", "-o", "again.csv")
    assert again.err == "wrote again.csv\n"
    assert (saved / "again.csv").read_text() == (saved / "h.csv").read_text()
    part = call("heads", "h.npz", "-s", "L1.H1,H3")
    assert names_in(part.out) == ["L1.H1", "L1.H3"]


def test_what_was_measured_of_plain_weights_is_read_again(call, tmp_path):
    (tmp_path / "w.json").write_text("[[[0.5, 0.5], [0, 1]]]")
    call("heads", "w.json", "-o", "w.npz")
    assert "w.json" in call("heads", "w.npz").out.splitlines()[0]


@pytest.mark.parametrize("suffix", ["npz", "json", "safetensors"])
def test_a_trace_gives_the_same_but_for_the_values(call, saved, suffix):
    call("run", REPEATED, "-m", "induction", "-o", f"t.{suffix}")
    call("heads", f"t.{suffix}", "-o", "t.csv")
    text, trace = (rows_of((saved / name).read_text()) for name in ("h.csv", "t.csv"))
    for one, other in zip(text, trace, strict=True):
        for column in one.keys() & other.keys():
            if column.startswith(("value_norm", "first_token_moved")):
                assert other[column] in ("", "0")
            else:
                assert other[column] == one[column], column


def test_foreign_weights_with_tokens(call, tmp_path):
    weights = np.eye(9)[[0, *range(8)]]
    np.save(tmp_path / "w.npy", weights[None, None])
    out = call("heads", "w.npy", "--tokens", "a b c , a b c . a").out
    assert "L0.H0  previous-token" in out
    assert "those of a causal mask" in " ".join(out.split())


def test_sorted_filtered_and_cut(call, saved):
    out = call("heads", "h.npz", "--sort", "-entropy", "--where", "layer = 1", "--top", "2").out
    shown = names_in(out)
    values = {f"L{r['layer']}.H{r['head']}": float(r["entropy"])
              for r in rows_of((saved / "h.csv").read_text()) if r["layer"] == "1"}  # fmt: skip
    assert shown == sorted(values, key=values.__getitem__)[:2]
    assert "4 of 8 heads fulfil layer = 1" in out
    assert "sorted by entropy, smallest first" in out
    assert "the first 2 of 4 heads shown" in out
    assert names_in(call("heads", "h.npz", "--where", "role = induction and head > 1").out) == [
        "L1.H2", "L1.H3"]  # fmt: skip
    largest = names_in(call("heads", "h.npz", "--sort", "induction", "--top", "4").out)
    assert all(name.startswith("L1") for name in largest)


@pytest.mark.parametrize(
    "name", ["prev", "previous", "previous_token", "previous token", "Previous-Token"]
)
def test_a_column_has_many_names(call, saved, name):
    out = call("heads", "h.npz", "--sort", name).out
    assert "sorted by previous token, largest first" in out
    assert names_in(out)[0] == "L0.H2"
    assert call("heads", "h.npz", "--map", name).out == call(
        "heads", "h.npz", "--map", "previous_token").out  # fmt: skip
    shown = call("heads", "h.npz", "--columns", f"entropy,{name}").out
    assert shown == call("heads", "h.npz", "--columns", "entropy,previous_token").out
    assert names_in(call("heads", "h.npz", "--where", f"{name} > 0.9").out) == ["L0.H2"]


def test_what_was_asked_about_is_shown_first(call, saved):
    out = call("heads", "h.npz", "--sort", "-verticality", "--width", "200").out
    head = next(line for line in out.splitlines() if line.startswith("head "))
    assert head.split()[:3] == ["head", "role", "verticality"]


def test_of_very_many_heads_the_clearest_are_shown(call, tmp_path):
    weights = np.eye(9)[[0, *range(8)]]
    np.save(tmp_path / "w.npy", np.stack([weights] * 29))
    out = call("heads", "w.npy").out
    assert len(names_in(out)) == 3
    assert "3 of 29 heads shown" in out
    assert len(names_in(call("heads", "w.npy", "--top", "29").out)) == 29
    call("heads", "w.npy", "-o", "w.md")
    assert (tmp_path / "w.md").read_text().count("previous") >= 29


def test_none_that_fulfils(call, saved):
    done = call("heads", "h.npz", "--where", "induction > 2")
    assert done.code == 0
    assert "0 of 8 heads fulfil induction > 2" in done.out
    assert "not defined here" not in done.out
    for more in ("--map", "--similarity"):
        options = [more, "entropy"] if more == "--map" else [more]
        assert call("heads", "I saw", "--where", "induction > 2", *options).code == 0


def test_columns(call, saved):
    out = call("heads", "h.npz", "--columns", "entropy,entropy_null,punctuation", "--top", "1").out
    lines = [line.split() for line in out.splitlines()]
    (head,) = (line for line in out.splitlines() if line.startswith("head "))
    assert re.split("  +", head) == [
        "head",
        "role",
        "entropy (nats)",
        "entropy_null",
        "punctuation",
    ]
    (even,) = (line for line in lines if line[:1] == ["even"])
    assert even[2:] == [next(line for line in lines if line[:1] == ["L0.H0"])[3], "-", "-"]


def test_map(call, saved):
    done = call("heads", "h.npz", "--map", "induction", "-o", "m.csv")
    assert done.code == 0
    cells = [r for r in rows_of((saved / "m.csv").read_text()) if "induction" in r["view"]]
    values = {(r["layer"], r["head"]): r["induction"]
              for r in rows_of((saved / "h.csv").read_text())}  # fmt: skip
    assert {(c["row"], c["column"]): c["value"] for c in cells} == values
    out = call("heads", "h.npz", "--map", "induction").out
    (null,) = {r["induction_null"] for r in rows_of((saved / "h.csv").read_text())}
    assert f"an even spread has {short(float(null))}" in out
    part = call("heads", "h.npz", "--map", "entropy", "-s", "L0.H1,H3", "-s", "L1").out
    assert "not shown or not defined" in part


def test_maps_of_an_encoder_decoder(call):
    out = call("heads", "我爱你", "-m", "phrases", "--map", "entropy").out
    for title in ("encoder self", "decoder self", "decoder cross"):
        assert f"{title} · entropy by layer and head" in out


def test_similarity(call, tmp_path):
    before, first = np.eye(6)[[0, *range(5)]], np.eye(6)[[0] * 6]
    np.save(tmp_path / "w.npy", np.stack([before, first, before, first]))
    call("heads", "w.npy", "--similarity", "-o", "s.csv")
    cells = rows_of((tmp_path / "s.csv").read_text())
    order = list(dict.fromkeys(c["row_label"] for c in cells if c["view"].startswith("Jensen")))
    assert sorted(order[:2]) in (["L0.H0", "L0.H2"], ["L0.H1", "L0.H3"])
    call("heads", "w.npy", "--similarity", "--order", "layer", "-o", "l.csv")
    cells = rows_of((tmp_path / "l.csv").read_text())
    labels = [c["row_label"] for c in cells if c["view"].startswith("Jensen")]
    assert list(dict.fromkeys(labels)) == ["L0.H0", "L0.H1", "L0.H2", "L0.H3"]


@pytest.mark.parametrize("suffix", ["png", "svg", "md", "txt", "json", "npz"])
@pytest.mark.parametrize("what", [[], ["--map", "entropy", "--similarity"]], ids=["table", "maps"])
def test_any_format(call, tmp_path, suffix, what):
    done = call("heads", REPEATED, "-m", "induction", *what, "-o", f"x.{suffix}")
    assert (done.code, done.err) == (0, f"wrote x.{suffix}\n")
    assert (tmp_path / f"x.{suffix}").stat().st_size > 500


def test_json(call):
    content = json.loads(call("heads", REPEATED, "-m", "induction", "--json").out)
    assert content["format"] == "attnviz-heads"
    assert content["roles"][2] == "previous-token"
    assert content["arrays"]["value/punctuation"] == [None] * 8
    assert content["model"]["trained"] is True


def test_csv_and_another_file_at_once(call, tmp_path):
    done = call("heads", "I saw a saw", "-o", "a.csv", "-o", "a.md", "--json")
    assert done.err == "wrote a.csv\nwrote a.md\n"
    assert json.loads(done.out)["format"] == "attnviz-heads"
    assert "entropy_null" in (tmp_path / "a.csv").read_text().splitlines()[0]


def test_explain(call):
    out = " ".join(call("heads", "--explain").out.split())
    for name in METRICS:
        assert name in out
    for role in ROLES:
        assert " ".join(role.rule.split()) in out
    assert "nor why the model answered" in out
    assert "metric entropy" in " ".join(call("heads", "I saw", "--explain").out.split())


def test_broken_weights_are_no_numbers(call, tmp_path):
    weights = np.full((2, 6, 6), 1 / 6)
    weights[1, 2, 3] = np.nan
    np.save(tmp_path / "w.npy", weights)
    out = call("heads", "w.npy", "--columns", "entropy,previous_token,next_token").out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("L0")}
    assert lines["L0.H0"][2:] == ["1.79", "0.17", "0.17"]
    assert lines["L0.H1"][2:] == ["nan", "nan", "nan"]
    assert "NaN or infinity in weights" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no text"),
        (["nothing.npz"], "no such file: nothing.npz"),
        (["I saw", "--map", "entropi"], "--map: there is no column 'entropi'"),
        (["I saw", "--columns", "entropy,x"], "--columns: there is no column 'x'"),
        (["I saw", "--sort", "x"], "--sort: there is no column of numbers 'x'"),
        (["I saw", "--sort", "role"], "--sort: there is no column of numbers 'role'"),
        (["I saw", "--where", "entropy"], "cannot read 'entropy'"),
        (["I saw", "--top", "-1"], "--top: expected a number from 0"),
        (["I saw", "--order", "x"], "--order: unknown value 'x'"),
        (["I saw", "-s", "L9"], "there is no such layer"),
        (["I saw", "-m", "tagger-word"], "tagger-word has no attention"),
        (["I saw", "--ids", "1,2"], "give a text or --ids, not both"),
        (["I saw", "--tokens", "a b"], "--tokens is for files"),
        (["w.npy", "--pair", "x"], "--pair is for texts"),
        (["w.npy", "-m", "tagger"], "--model is for texts"),
        (["h.npz", "--similarity"], "--similarity compares weights"),
        (["h.npz", "--tokens", "a b"], "holds what was measured"),
    ],
)
def test_errors(call, tmp_path, arguments, message):
    np.save(tmp_path / "w.npy", np.eye(4))
    call("heads", "I saw", "-o", "h.npz")
    done = call("heads", *arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert message in done.err
    assert "\nhint: " in done.err


def test_what_a_filter_leaves_out_is_said_above_maps_too(call):
    for view in (("--map", "entropy"), ("--similarity",)):
        out = call("heads", "I saw a saw", *view, "--where", "layer = 1", "--sort", "head").out
        assert "4 of 8 heads fulfil layer = 1" in out
        assert "sorted by head" in out
    out = call("heads", "I saw a saw", "--map", "entropy", "--where", "role = sink").out
    assert "0 of 8 heads fulfil role = sink" in out


@pytest.mark.parametrize("sort", ["entropy", "-entropy", "-head"])
def test_layers_are_in_order_whatever_the_table_is_sorted_by(call, tmp_path, sort):
    call("heads", "I saw a saw", "--similarity", "--order", "layer", "--sort", sort, "-o", "s.csv")
    cells = rows_of((tmp_path / "s.csv").read_text())
    labels = list(dict.fromkeys(c["row_label"] for c in cells if c["view"].startswith("Jensen")))
    assert labels == [f"L{layer}.H{head}" for layer in range(2) for head in range(4)]


def test_how_many_queries_a_number_is_of(call):
    """One token comes again in "I saw a saw", with a follower."""
    out = call("heads", "I saw a saw", "--map", "induction").out
    assert "an even spread has 0.17; over 1 query" in out
    words = " ".join(call("heads", "I saw a saw", "--columns", "entropy,induction").out.split())
    assert "over fewer than 4 queries, which name no role: ind" in words


def test_an_image(call):
    done = call("heads", IMAGE, "-m", "digits")
    assert (done.code, done.err) == (0, "")
    assert "the patches of an image lie in a plane" in " ".join(done.out.split())
    done = call("diff", IMAGE, IMAGE.with_name("5.png"), "-m", "digits", "--top", "0")
    assert (done.code, done.err) == (0, "")
    for wrong in (("--pair", "x"), ("--target", "x")):
        done = call("heads", IMAGE, "-m", "digits", *wrong)
        assert done.code == 2
        assert "digits reads images" in done.err


LONG = "the cat , the dog and the bird saw a cat . " * 12
SMALL = ("-m", "random:layers=2,heads=3,d_model=12", "--width", "120")


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--columns", "entropy,prev"),
        ("--map", "entropy"),
        ("--where", "entropy > 4.5", "--sort", "induction"),
    ],
)
def test_what_does_not_fit_is_measured_tile_by_tile(call, more):
    whole = call("heads", LONG, *SMALL, *more)
    assert whole.code == 0
    assert call("heads", LONG, *SMALL, *more, "--memory", "0.1MB") == whole


@pytest.mark.parametrize("given", [(LONG, *SMALL), ("我爱你", "-m", "phrases")])
def test_data_of_what_does_not_fit_holds_every_metric(call, given):
    """Also while an encoder-decoder has not yet written its target."""
    whole, streamed = (
        json.loads(call("heads", *given, "--columns", "entropy", "--json", *memory).out)
        for memory in ((), ("--memory", "1B"))
    )
    assert streamed["arrays"].keys() == whole["arrays"].keys()
    for name, values in whole["arrays"].items():
        found, expected = (np.array(each, float) for each in (streamed["arrays"][name], values))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("asked", "measured"),
    [
        (Asked(Query(), None, "self_token", False), ["self_token"]),
        (Asked(Query("ind > 0.5", "-period"), None, "own", False), ["self_token", "induction"]),
        (Asked(Query(), None, None, True), []),
        (Asked(Query(), "entropy_null,conf", None, False),
         ["entropy", "confidence", *METRICS_OF_ROLES]),
        (Asked(Query("role = sink"), None, None, True), METRICS_OF_ROLES),
        (Asked(Query(), "all", None, False), METRICS),
        (Asked(Query(), None, None, False), METRICS),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_what_is_measured(asked, measured):
    assert asked.metrics(FigureOptions()) == list(dict.fromkeys(measured))
    assert asked.metrics(FigureOptions(json=True)) == list(METRICS)


def test_heads_of_a_long_text_are_compared_over_a_sample(call, monkeypatch):
    monkeypatch.setattr("attnviz.analysis.similarity.SAMPLE_CELLS", 6 * 144 * 11)
    found = call("heads", LONG, *SMALL, "--similarity", "--memory", "0.1MB")
    assert "of 11 of the 144 queries, evenly spaced" in " ".join(found.out.split())
    call("run", LONG, *SMALL, "--memory", "0.1MB", "-o", "t.npz")
    refused = call("heads", "t.npz", "--similarity")
    assert refused.code == 2
    assert "give the text" in refused.err
    assert "duplicate" in call("heads", "t.npz").out
