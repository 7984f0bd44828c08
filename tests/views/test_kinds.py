"""What views are made of: scales, axes, masks, and all that a view says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    Heatmap,
    Picture,
    Scale,
    Table,
    around_zero,
    indices,
    texts,
)
from tests.render import samples


def heatmap(values, **given):
    values = np.asarray(values)
    rows, columns = (
        indices(name, n) for name, n in zip(("query", "key"), values.shape, strict=True)
    )
    return Heatmap("h", values, rows, columns, **given)


def test_fixed_scale():
    shades = heatmap([[0, 0.25, 1, 1.5, -1]]).shades()
    assert shades.tolist() == [[0, 0.25, 1, 1, 0]]


def test_row_scale_goes_to_each_rows_largest_and_keeps_zero_rows_zero():
    shades = heatmap([[0.1, 0.2], [0, 0], [0.5, 0.25]], scale=Scale(0, 1, by="row")).shades()
    np.testing.assert_allclose(shades, [[0.5, 1], [0, 0], [1, 0.5]])


def test_head_scale_goes_to_the_largest():
    shades = heatmap([[0.1, 0.2], [0, 0.4]], scale=Scale(0, 1, by="head")).shades()
    np.testing.assert_allclose(shades, [[0.25, 0.5], [0, 1]])


def test_log_scale_has_decades_and_a_floor():
    shades = heatmap([[1, 0.1, 0.01, 1e-4, 0, 1e-9]], scale=Scale(0, 1, by="log")).shades()
    np.testing.assert_allclose(shades, [[1, 0.75, 0.5, 0, 0, 0]], atol=1e-12)


def test_diverging_scale_is_the_same_on_both_sides():
    values = np.array([[-2.0, 0, 1, np.nan]])
    scale = around_zero(values)
    assert (scale.low, scale.high) == (-2, 2)
    shades = heatmap(values, scale=scale).shades()
    np.testing.assert_array_equal(shades, [[-1, 0, 0.5, np.nan]])


def test_masked_cells_have_no_place_whatever_they_hold():
    masked = np.array([[0, 1, 2]])
    shades = heatmap([[0.5, 0.0, np.inf]], masked=masked).shades()
    np.testing.assert_array_equal(shades, [[0.5, np.nan, np.nan]])


def test_masked_cells_do_not_stretch_a_row():
    masked = np.array([[0, 1]])
    assert heatmap([[0.5, 9.0]], masked=masked, scale=Scale(0, 1, by="row")).shades()[0, 0] == 1


def test_axis_index():
    assert Axis("position", ("a", "b"), first=5).index(1) == "6"


def test_who_masks_and_what_is_broken():
    masked = np.array([[0, 2, 2], [0, 0, 1]])
    values = np.array([[0.1, np.nan, 0.2], [0.3, 0.4, 0.5]])
    found = heatmap(values, masked=masked, reasons=("causal", "padding"))
    assert found.masked_by() == {"causal": "rising", "padding": "falling"}
    assert not found.is_broken()
    assert heatmap(values).is_broken()
    assert heatmap(values).masked_by() == {}
    assert heatmap(values, masked=masked).masked_by() == {"custom": "crossed"}


def test_every_scale_says_what_it_is():
    assert WEIGHTS.text == "scale: 0 to 1"
    assert Scale(0, 1, by="row").text == "scale: 0 to largest (of each row)"
    assert Scale(0, 1, by="head").text == "scale: 0 to largest (of each head)"
    assert Scale(0, 1, by="log").text == "scale: 0.0001 and below to 1 (logarithmic)"
    assert Scale(-3, 3, "diverging").text == "scale: -3 to 3"


NOT_SHOWN = {"tone", "pooling", "name"}


def strings(value: Any) -> Iterator[str]:
    """Every string in a view, whatever field it stands in."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Scale):
        return
    elif is_dataclass(value):
        for field in fields(value):
            yield from strings(getattr(value, field.name))
    elif hasattr(value, "_fields"):
        for name in value._fields:
            if name not in NOT_SHOWN:
                yield from strings(getattr(value, name))
    elif isinstance(value, tuple):
        for part in value:
            yield from strings(part)


@pytest.mark.parametrize("view", samples.every_kind(), ids=lambda view: type(view).__name__)
def test_every_string_of_a_view(view):
    found = set(texts(view))
    assert set(strings(view)) - found == set()
    shown = (text for row in view.texts() for text in row) if isinstance(view, Table) else ()
    assert found - set(strings(view)) <= set(shown)


def test_a_coloured_image_has_the_brightness_of_rec_601():
    image = np.zeros((2, 2, 3))
    image[0, 0] = (1, 0, 0)
    image[0, 1] = (1, 1, 1)
    view = Picture("t", image, ((np.ones((1, 1)),),), ("",), ("",), Scale(0, 1))
    np.testing.assert_allclose(view.grey(), [[0.299, 1], [0, 0]])
