"""CSV: every number in full."""

from __future__ import annotations

import csv
import io

import numpy as np

from attnviz.render import render
from attnviz.views.kinds import Table
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
