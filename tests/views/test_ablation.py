"""What the views of an ablation say, against the numbers that they are of."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.ablation import Ablations, Pruning
from attnviz.nn.site import RecordId
from attnviz.trace.selection import Head
from attnviz.views.ablation import ablation_views
from attnviz.views.kinds import Curves, Heatmap, Line, Table, Text

TOP = Text((Line("a model", "model", "head"),))


def found(heads, values, **others):
    values = np.array(values, float)
    return Ablations(tuple(heads), ("kl", "accuracy"), np.array([0, 0.9]), values, **others)


def views(ablations, kind, *, changes=None, most=12):
    drawn = ablation_views(TOP, ablations, [Line("zero", "taken out")], changes or {}, most)
    return [view for view in drawn if isinstance(view, kind)]


HEADS = [Head(RecordId("encoder", layer, "self"), head) for layer in (1, 3) for head in (0, 2)]
VALUES = [[0.2, 0.9], [0.05, 0.8], [0.6, 0.5], [0.15, 1.0]]


def test_the_map_has_a_place_for_every_head_and_hides_the_others():
    (heatmap,) = views(found(HEADS, VALUES), Heatmap)
    assert heatmap.rows.labels == ("L1", "L3")
    assert heatmap.values[0, 2] == 0.05
    assert heatmap.values[1, 0] == 0.6
    assert (heatmap.masked == np.array([[0, 1, 0], [0, 1, 0]])).all()
    assert (heatmap.scale.low, heatmap.scale.high) == (0, 0.6)


def test_small_numbers_are_shown_in_a_unit_that_is_said():
    (heatmap,) = views(found(HEADS, np.array(VALUES) * [1e-4, 1]), Heatmap)
    assert heatmap.title.endswith("in units of 10⁻⁶")
    assert heatmap.values[1, 0] == pytest.approx(60)


def test_what_does_good_has_another_colour():
    ablations = Ablations(tuple(HEADS), ("accuracy",), np.array([0.7]), np.array(VALUES)[:, 1:])
    (heatmap,) = views(ablations, Heatmap)
    assert heatmap.scale.kind == "diverging"
    assert heatmap.values[1, 2] == pytest.approx(-0.3)


def test_the_table_is_sorted_and_says_what_it_leaves_out():
    alone = np.array(VALUES) * 2
    ablations = found(HEADS, VALUES, alone=alone)
    table = views(ablations, Table, changes={HEADS[2]: ["a→b"]}, most=2)[0]
    assert table.columns == ("without", "kl", "share", "alone", "says instead", "accuracy")
    assert table.rows == (
        ("nothing", 0.0, "", None, "", 0.9),
        ("L3.H0", 0.6, "60.0%", 1.2, "a→b", 0.5),
        ("L1.H0", 0.2, "20.0%", 0.4, "", 0.9),
    )
    assert "2 of 4 heads; --top shows more" in table.notes


def test_one_head_against_all():
    alone = np.array([[0.3, 0], [0.1, 0], [0.7, 0], [0.9, 0]])
    table = views(found(HEADS, VALUES, alone=alone), Table)[1]
    assert table.rows == (
        ("encoder.1.self", "H2", 0.1, "H0", 0.3),
        ("encoder.3.self", "H0", 0.7, "H2", 0.9),
    )


def test_kinds_of_attention_are_told_apart():
    heads = [
        Head(RecordId("encoder", 0, "self"), 0),
        Head(RecordId("decoder", 0, "self"), 0),
        Head(RecordId("decoder", 0, "cross"), 0),
    ]
    ablations = found(heads, VALUES[:3])
    names = [row[0] for row in views(ablations, Table)[0].rows[1:]]
    assert names == ["cross L0.H0", "encoder L0.H0", "decoder L0.H0"]
    titles = [heatmap.title for heatmap in views(ablations, Heatmap)]
    assert [title.partition(" · ")[0] for title in titles] == [
        "encoder self", "decoder self", "decoder cross",
    ]  # fmt: skip


def test_the_curves():
    counts = np.arange(5)
    values = np.stack([counts / 4, 1 - counts / 4], 1)
    prunings = (Pruning("by effect", "the least missed first", tuple(HEADS), counts, values),)
    (curves,) = views(found(HEADS, VALUES, prunings=prunings), Curves)
    assert curves.series[0][0] == "by effect"
    assert curves.notes[0] == "by effect: the least missed first"
    np.testing.assert_array_equal(curves.series[0][1], values[:, 0])
    np.testing.assert_array_equal(curves.x, counts)
