"""What one query looks at."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.trace.selection import parse_selection
from attnviz.trace.spans import Zoom, parse_span
from attnviz.views.attention import attention_views
from attnviz.views.figure import head_pictures
from attnviz.views.kinds import Grid, Heatmap, Text

TEXT = " ".join("abcdefghijklm"[i % 13] for i in range(29))


@pytest.fixture(scope="module")
def trace():
    return attnviz.run(TEXT, model="random:layers=2,heads=3,d_model=12,mask=causal")


def views(trace, rows="-1", keys=None, select=("L1",), **how):
    zoom = Zoom(parse_span(rows, "--rows"), None if keys is None else parse_span(keys, "--keys"))
    return attention_views(trace, parse_selection(select), zoom=zoom, **how)


def of_kind(views, kind):
    return [view for view in views if isinstance(view, kind)]


def test_the_strongest_keys_come_first_and_are_named(trace):
    shown = views(trace)
    (heatmap,) = of_kind(shown, Heatmap)
    assert not of_kind(shown, Grid)
    assert not heatmap.is_relation
    zoom = Zoom(parse_span("-1", "--rows"))
    (picture,) = head_pictures(trace, parse_selection(["L1"]), zoom=zoom)
    np.testing.assert_array_equal(picture.values, heatmap.values)
    weights = trace["encoder.1.self"].weights[:, -1]
    order = np.argsort(-weights.max(0), kind="stable")[:20]
    np.testing.assert_array_equal(heatmap.values, weights[:, order].T)
    assert [heatmap.rows.index(i) for i in range(20)] == [str(key) for key in order]
    assert heatmap.rows.labels == tuple(trace.streams["source"].labels[key] for key in order)
    assert heatmap.columns.labels == ("L1.H0", "L1.H1", "L1.H2")
    low, high = (round(100 * s) for s in np.sort(weights[:, order].sum(1))[[0, -1]])
    assert heatmap.notes == (
        "the 20 strongest of 29 keys, the strongest first; they hold "
        f"{low}%–{high}% of the row's weight",
    )
    text = of_kind(shown, Text)[1]
    assert text.lines[0].text == f"28 {trace.streams['source'].labels[28]}"
    for line, row in zip(text.lines[1:], weights, strict=True):
        best = int(row.argmax())
        name = trace.streams["source"].labels[best]
        assert line.text.startswith(f"looks at “{name}” at {best} ({row[best]:.0%})")


def test_few_keys_stand_in_their_order(trace):
    (heatmap,) = of_kind(views(trace, rows="20", keys="3-17"), Heatmap)
    assert [heatmap.rows.index(i) for i in range(15)] == [str(key) for key in range(3, 18)]
    assert heatmap.notes == ()
    assert not of_kind(views(trace, rows="20-21"), Heatmap)[0].title.startswith("query")


def test_masked_keys_are_never_among_the_strongest(trace):
    (heatmap,) = of_kind(views(trace, rows="4"), Heatmap)
    assert sorted(int(heatmap.rows.index(i)) for i in range(len(heatmap.rows))) == list(range(5))
    assert heatmap.masked is None


def test_of_many_heads_the_most_informative_are_listed(trace):
    shown = views(trace, select=(), top=2)
    (heatmap,) = of_kind(shown, Heatmap)
    assert len(heatmap.columns) == 2
    assert of_kind(shown, Grid)[0].panels[0][0].values.shape == (1, 29)


def test_scores_are_listed_without_a_sentence():
    trace = attnviz.run(TEXT, model="random:layers=1,heads=2,d_model=8", stages=("scores",))
    shown = views(trace, select=("L0",), stage="scores")
    assert len(of_kind(shown, Text)) == 1
    scores = trace.records[0].scores[:, -1]
    assert of_kind(shown, Heatmap)[0].values[0].max() == scores.max()
