"""Every map of an image shows the class token's own row, of the head that its name says."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.selection import parse_selection
from attnviz.tokens import Tokens
from attnviz.trace import Record, Trace
from attnviz.views.image import image_views
from attnviz.views.kinds import Picture


@pytest.fixture
def trace():
    """Two layers of three heads over 2 × 3 patches; no two cells are alike."""
    generator = np.random.default_rng(0)
    records = tuple(
        Record(f"encoder.{layer}.self", "self", layer, 3, 3, "source", "source", "none",
               weights=generator.random((3, 7, 7)))
        for layer in range(2)
    )  # fmt: skip
    tokens = Tokens.of(["[CLS]", *"abcdef"], special=[0])
    model = {"name": "made up", "outputs": ["x", "y"], "notes": []}
    return Trace(model, {"source": tokens}, records)


def pictures(trace, *selection):
    views = image_views(
        trace, parse_selection(selection), np.zeros((4, 6)), (2, 3), np.array([0.1, 0.9]),
        np.arange(24.0).reshape(4, 6),
    )  # fmt: skip
    return [view for view in views if isinstance(view, Picture)]


@pytest.mark.parametrize("selection", [(), ("L0.H1", "L1.H0,H2"), ("L1.H2",)])
def test_maps(trace, selection):
    attention = pictures(trace, *selection)[0]
    shown = 0
    for row, line in zip(attention.row_names, attention.overlays, strict=True):
        for column, values in zip(attention.column_names, line, strict=True):
            if values is not None:
                weights = trace.records[int(row[1:])].weights[int(column[1:])]
                np.testing.assert_array_equal(values, weights[0, 1:].reshape(2, 3))
                shown += 1
    assert shown == {0: 6, 2: 3, 1: 1}[len(selection)]


def test_the_scale_and_what_is_not_drawn(trace):
    attention, saliency = pictures(trace)
    rows = np.stack([record.weights[:, 0] for record in trace])
    assert attention.scale.high == rows[..., 1:].max()
    assert f"looks at itself with {rows[..., 0].mean():.0%}" in attention.notes[0]
    np.testing.assert_array_equal(saliency.overlays[0][0], np.arange(24).reshape(4, 6))
    assert "hangs on" in saliency.title
    assert " y " in saliency.title
