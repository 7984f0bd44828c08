"""The table of heads and what stands around it, against the table's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.roles import MIXED, ROLES, roles
from attnviz.views.heads import (
    explain_view,
    full_table,
    head_names,
    head_table_view,
    map_views,
    roles_view,
    similarity_view,
    usual_columns,
)


@pytest.fixture(scope="module")
def measured():
    trace = attnviz.run("I saw a saw and the old house", model="tagger")
    table = measure_heads(trace)
    return table, roles(table)


def test_a_row_a_head_below_the_null(measured):
    table, names = measured
    columns = ["entropy", "first_token"]
    view = head_table_view(table, names, columns, ("a note",))
    (even, *rows) = view.rows
    assert view.columns == ("head", "role", METRICS["entropy"].title, METRICS["first_token"].title)
    assert even[:2] == ("even", "(null)")
    assert even[2:] == pytest.approx([table.null[name].mean() for name in columns])
    assert [row[0] for row in rows] == head_names(table)
    for i, name in enumerate(columns):
        assert [row[2 + i] for row in rows] == pytest.approx(list(table.value[name]))
    assert view.notes[-1] == "a note"


def test_usual_columns_are_defined_and_in_their_order(measured):
    table, _ = measured
    columns = usual_columns(table)
    assert set(columns) <= set(table.defined())
    priorities = [METRICS[name].priority for name in columns]
    assert priorities == sorted(priorities)


def test_the_full_table_has_every_number(measured):
    table, names = measured
    view = full_table(table, names)
    columns = table.columns()
    assert view.columns == ("id", "role", *columns)
    for row, shown in enumerate(view.rows):
        for name, value in zip(view.columns[2:], shown[2:], strict=True):
            number = columns[name][row]
            assert value is None if np.isnan(number) else value == number


def test_every_head_is_counted_with_its_role(measured):
    table, names = measured
    lines = [line.text for line in roles_view(table, names).lines if line.tone == "plain"]
    counts = {line.split(" ", 1)[1].partition(" (")[0]: int(line.split()[0]) for line in lines}
    assert counts == {name: names.count(name) for name in set(names)}
    assert sum(counts.values()) == len(table)


def test_a_map_has_each_head_in_its_place(measured):
    table, _ = measured
    (view,) = map_views(table, "entropy")
    layers = sorted(set(table.layers.tolist()))
    for row, value in enumerate(table.value["entropy"]):
        assert view.values[layers.index(table.layers[row]), table.heads[row]] == value
    assert view.scale.high == table.value["entropy"].max()
    (shares,) = map_views(table, "first_token")
    assert (shares.scale.low, shares.scale.high) == (0, 1)


def test_similarity_says_its_order():
    distances = np.array([[0, 0.5], [0.5, 0]])
    for liked, words in ((True, "like heads side by side"), (False, "in the order of layers")):
        view = similarity_view(["L0.H0", "L0.H1"], distances, liked)
        assert words in view.notes[1]
        assert view.rows.labels == ("L0.H0", "L0.H1")


def test_every_metric_and_role_is_explained():
    lines = explain_view().lines
    named = [line.text.split(" ")[0].rstrip(",") for line in lines if line.term == "metric"]
    assert named == list(METRICS)
    assert [line.text for line in lines if line.term == "role"] == [
        *(role.name for role in ROLES), MIXED
    ]  # fmt: skip
