"""Every map of an image shows the class token's own row, of the head that its name says."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.nn.site import RecordId, Site
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Record, Trace
from attnviz.trace.selection import parse_selection
from attnviz.views.image import drop_picture, image_views, slope_picture
from attnviz.views.kinds import Picture, Text


@pytest.fixture
def trace():
    """Two layers of three heads over 2 × 3 patches; no two cells are alike."""
    generator = np.random.default_rng(0)
    records = tuple(
        Record(Site(RecordId("encoder", layer, "self"), "source", "source", 3, 3),
               weights=generator.random((3, 7, 7)))
        for layer in range(2)
    )  # fmt: skip
    tokens = Tokens.of(["[CLS]", *"abcdef"], special=[0])
    model = ModelFacts("made up", outputs=("x", "y"))
    return Trace(model, {"source": tokens}, records)


def pictures(trace, *selection, **given):
    views = image_views(trace, parse_selection(selection), np.zeros((4, 6)), (2, 3), **given)
    return [view for view in views if isinstance(view, Picture)]


def texts(trace, **given):
    views = image_views(trace, parse_selection(()), np.zeros((4, 6)), (2, 3), **given)
    return [line for view in views if isinstance(view, Text) for line in view.lines]


@pytest.mark.parametrize("query", [0, 5])
@pytest.mark.parametrize("selection", [(), ("L0.H1", "L1.H0,H2"), ("L1.H2",)])
def test_maps(trace, selection, query):
    (attention,) = pictures(trace, *selection, query=query)
    shown = 0
    for row, line in zip(attention.row_names, attention.overlays, strict=True):
        for column, values in zip(attention.column_names, line, strict=True):
            if values is not None:
                weights = trace.records[int(row[1:])].weights[int(column[1:])]
                np.testing.assert_array_equal(values, weights[query, 1:].reshape(2, 3))
                shown += 1
    assert shown == {0: 6, 2: 3, 1: 1}[len(selection)]
    assert ("the class token looks · " in attention.title) == (query == 0)
    assert ("patch e looks · " in attention.title) == (query == 5)


def test_the_scale_and_what_is_not_drawn(trace):
    (attention,) = pictures(trace)
    rows = np.stack([record.weights[:, 0] for record in trace])
    assert attention.scale.high == rows[..., 1:].max()
    assert f"gives itself {rows[..., 0].mean():.0%}" in attention.notes[0]
    (attention,) = pictures(trace, query=3)
    seen = np.stack([record.weights[:, 3, 0] for record in trace])
    assert f"gives the class token {seen.mean():.0%}" in attention.notes[0]


def test_the_answer(trace):
    answer = texts(trace, probabilities=np.array([0.1, 0.9]))[1]
    assert (answer.term, answer.text) == ("answer", "y, with probability 0.900")
    assert "no classifier" in texts(trace)[1].text


def test_many_heads_are_summed_up_and_it_is_said(trace, monkeypatch):
    monkeypatch.setattr("attnviz.views.image.MAX_MAPS", 5)
    means, last = pictures(trace)
    assert means.column_names == ("L0", "L1")
    for record, values in zip(trace, means.overlays[0], strict=True):
        mean = record.weights[:, 0, 1:].mean(0).reshape(2, 3)
        np.testing.assert_allclose(values, mean)
        assert f"L{record.layer} {mean.max():.2g}" in means.notes[1]
    assert "2 layers with 3 heads each: the mean" in means.notes[2]
    np.testing.assert_allclose(means.heatmap("", means.overlays[0][0]).shades().max(), 1)
    assert (last.row_names, last.column_names) == (("L1",), ("H0", "H1", "H2"))
    (chosen,) = pictures(trace, "L0-1")
    assert chosen.row_names == ("L0", "L1")


def test_reasons_say_how_they_were_found():
    slopes = slope_picture(np.zeros((4, 6)), np.arange(24.0).reshape(4, 6), "y")
    assert (slopes.scale.low, slopes.scale.high) == (0, 23)
    assert "the answer y depends on" in slopes.title
    drops = drop_picture(np.zeros((4, 6)), np.array([[-1.0, 3.0]]), "y")
    assert (drops.scale.kind, drops.scale.low, drops.scale.high) == ("diverging", -3, 3)
    for picture in (slopes, drops):
        assert any("not attention" in note for note in picture.notes)
