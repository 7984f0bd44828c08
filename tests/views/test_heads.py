"""The table of heads and what stands around it, against the table's own numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

import attnviz
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.roles import MIN_ROWS, MIXED, ROLES, roles
from attnviz.views.heads import (
    explain_view,
    full_table,
    head_names,
    head_sentences,
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
    assert view.columns == ("head", "role", "entropy (nats)", "first token")
    assert even[:2] == ("even", "(null)")
    assert even[2:] == pytest.approx([table.null[name].mean() for name in columns])
    assert [row[0] for row in rows] == head_names(table)
    for i, name in enumerate(columns):
        assert [row[2 + i] for row in rows] == pytest.approx(list(table.value[name]))
    assert view.notes[-1] == "a note"


def test_usual_columns_are_defined_and_in_their_order(measured):
    table, names = measured
    columns = usual_columns(table, names, asked=["entropy_null"])
    assert columns[0] == "entropy_null"
    metrics = columns[1:]
    assert set(metrics) <= set(table.defined())
    assert all(table.rows[name].max() >= MIN_ROWS for name in metrics)
    assert metrics[:2] == ["effective_tokens", "mean_distance"]
    roles_here = {role.metric for role in ROLES if role.name in names} & set(metrics)
    assert roles_here == set(metrics[2 : 2 + len(roles_here)])
    rest = [METRICS[name].priority for name in metrics[2 + len(roles_here) :]]
    assert rest == sorted(rest)


def test_with_sentences_columns_may_be_left_out(measured):
    table, names = measured
    sentences = [f"sentence {i}" for i in range(len(table))]
    columns = usual_columns(table, names)
    view = head_table_view(table, names, columns, (), sentences)
    assert [row[-1] for row in view.rows[1:]] == sentences
    assert not view.folds
    assert view.importance.index(len(view.columns) - 1) == 7
    assert head_table_view(table, names, columns).folds


def test_the_number_that_gives_a_role_stands_out(measured):
    table, names = measured
    columns = ["entropy", "previous_token", "next_token"]
    view = head_table_view(table, names, columns)
    metrics = {role.name: role.metric for role in ROLES}
    strong = {cell for cell, tone in view.tones.items() if tone == "strong"}
    having = [(row, metrics[name]) for row, name in enumerate(names, 1) if name in metrics]
    numbers = {(row, 2 + columns.index(metric)) for row, metric in having if metric in columns}
    assert numbers
    assert strong == numbers | {(row, 1) for row, _ in having}


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
    sentences = head_sentences(table, [None] * len(table))
    lines = roles_view(table, names, sentences).lines
    heads = dict(zip(head_names(table), names, strict=True))
    for line in lines:
        named = re.findall(r"L\d+\.H\d+", line.text)
        assert {heads.pop(name) for name in named} == {line.term}
    assert not heads


def test_many_heads_of_a_role_are_counted(measured):
    table, names = measured
    many = table.take([names.index("next-token")] * 9)
    (line,) = roles_view(many, ["next-token"] * 9, ["looks ahead"] * 9).lines
    assert line.text.startswith("L1.H0 looks ahead; also L1.H0, ")
    assert line.text.endswith("and 4 more")
    assert line.text.count("L1.H0") + 4 == 9


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
