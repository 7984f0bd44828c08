"""What lessons show, as data."""

from __future__ import annotations

import json

import numpy as np

from attnviz.lessons.kit.page import arrays, texts_and_tables
from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    Curves,
    Grid,
    Heatmap,
    Line,
    Links,
    Picture,
    Table,
    Text,
    indices,
)

X, Y = np.arange(6.0).reshape(2, 3), np.arange(3.0)
MAP = Heatmap("map", X, indices("row", 2), indices("column", 3))


def test_every_kind_that_is_drawn():
    views = [
        MAP,
        Grid("grid", ((MAP, None),), ("",), ("a", "b")),
        Links("links", X, Axis("r", ("",) * 2), Axis("l", ("",) * 3)),
        Curves("curves", Y, "x", (("one", Y + 1), ("two", Y + 2)), "y"),
        Picture("picture", X, ((X,),), ("over",), ("",), WEIGHTS),
    ]
    shown = arrays(views)
    assert list(shown) == [
        "0 map",
        "1 grid · map",
        "2 links",
        *("3 curves · x", "3 curves · one", "3 curves · two"),
        *("4 picture · image", "4 picture · over"),
    ]
    np.testing.assert_array_equal(shown["3 curves · two"], Y + 2)
    np.testing.assert_array_equal(shown["1 grid · map"], X)


def test_texts_and_tables():
    table = Table("t", ("a", "b"), (("x", float("nan")), ("y", 2)), notes=("n",))
    shown = texts_and_tables([Text((Line("one"), Line("two"))), MAP, table])
    assert shown[0] == {"view": 0, "text": ["one", "two"]}
    assert shown[1]["view"] == 2
    assert shown[1]["table"]["rows"] == [["x", None], ["y", 2]]
    assert shown[1]["table"]["notes"] == ("n",)
    json.dumps(shown, allow_nan=False)
