"""CSV: every number in full."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest

from attnviz.render import render
from attnviz.tokens import label
from attnviz.views.kinds import Axis, Heatmap, Table
from tests.render import samples


def rows(views):
    content, _ = render(views, ".csv")
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_csv_holds_every_cell_in_full():
    heatmap = samples.heatmap(4, values=samples.causal(4).astype(np.float32))
    found = rows([heatmap])
    assert len(found) == 16
    for row in found:
        i, j = int(row["row"]), int(row["column"])
        if j > i:
            assert (row["value"], row["masked"]) == ("", "causal")
        else:
            assert np.float32(row["value"]) == heatmap.values[i, j]
            assert row["masked"] == ""
    assert found[0]["row_label"] == "I"


def test_csv_names_nan():
    assert [row["value"] for row in rows([samples.broken()])] == ["nan", "0.5", "inf", "0.0"]


def test_csv_of_one_table_is_that_table():
    content, _ = render([Table("t", ("a", "b"), ((1, "x,y"), (0.1, None)))], ".csv")
    assert content.decode() == 'a,b\n1,"x,y"\n0.1,\n'


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"), ("+", "'+"), ("-a", "'-a"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"),
        ("\r=1", "␍=1"), ("\n=1", "'\n=1"), ("'=1", "''=1"), ("a;=1", "a;'=1"), ("＝1", "'＝1"), (" =1", " '=1"),
        ("a=1", "a=1"), ("'a", "'a"), ("-1.5", "-1.5"), ("-inf", "-inf"), ("+3e5", "+3e5"), ("", ""),
    ],
)  # fmt: skip
def test_csv_text_is_no_formula(text, cell):
    """In every column of text; taking one apostrophe away gives the text back."""
    table = Table(text, ("head", text), ((text, 0.5), (-0.25, text)))
    content, _ = render([table], ".csv")
    assert list(csv.reader(io.StringIO(content.decode(), newline=""))) == [
        ["head", cell], [cell, "0.5"], ["-0.25", cell],
    ]  # fmt: skip
    content, _ = render([table, samples.links()], ".csv")
    found = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [(row["view"], row["row_label"], row["column_label"], row["value"]) for row in found][
        -2:
    ] == [(cell, cell, cell, "0.5"), (cell, "-0.25", cell, cell)]
    if cell != text.replace("\r", "␍"):
        assert re.sub(r"((?:^|;) *)'('*[=+\-@\t\n＝])", r"\1\2", cell) == text


def test_csv_labels_of_tokens_are_no_formulas():
    labels = label("=cmd|' /C calc'!A0"), "-", "@a"
    axis = Axis("key", labels)
    heatmap = Heatmap("=t", np.array([[0.5, -0.5, 0.25]] * 3), axis, axis, samples.links().scale)
    content, _ = render([heatmap], ".csv")
    found = list(csv.reader(io.StringIO(content.decode())))[1:]
    assert not [cell for row in found for cell in row if cell[:1] in ("=", "+", "@")]
    assert [row[5] for row in found[:3]] == ["0.5", "-0.5", "0.25"]


def test_csv_leaves_nothing_out():
    views = [*samples.every_kind(), samples.two_reasons()]
    assert {row["view"] for row in rows(views)} == {
        "encoder.0.self L0.H0 · weights", "b - a · weights", "numbers", "curves", "alignment",
        "image", "L0 H0", "L0 H1",
    }  # fmt: skip


def test_csv_survives_hostile_tokens():
    found = rows(samples.hostile_views())
    assert {row["column_label"] for row in found} >= {
        "[/INST]",
        "⏎",
        "</script>",
        '"',
        "\\u202eabc",
    }


def test_csv_holds_the_weights_of_links():
    content, _ = render([samples.links()], ".csv")
    found = list(csv.DictReader(io.StringIO(content.decode())))
    assert [float(row["value"]) for row in found] == [0.9, 0.06, 0.04, 0, 0, 0.2, 0.5, 0.3]
    assert found[0]["row_label"] == "Good"


def test_csv_holds_image_and_maps():
    content, _ = render([samples.picture()], ".csv")
    found = list(csv.DictReader(io.StringIO(content.decode())))
    assert len(found) == 64 + 2 * 16
    assert [row["value"] for row in found if row["view"] == "L0 H0"][1] == "0.0625"
