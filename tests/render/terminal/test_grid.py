"""Grids on a screen: names above their panels, masks below all of them."""

from __future__ import annotations

import re

import numpy as np

from attnviz.views.kinds import Grid, Heatmap, indices
from tests.render.terminal.drawing import drawn, plain


def rules(*names):
    """A grid of one panel a rule, whose last cell it hides."""
    masked, axis = np.array([[0, 0], [0, 1]]), indices("", 2)
    panels = tuple(
        Heatmap(name, np.full((2, 2), 0.5), axis, axis, masked=masked, reasons=(name,))
        for name in names
    )
    return Grid("g", (panels,), ("",), names)


def test_a_grid_names_the_masks_of_all_its_panels():
    out = drawn([rules("causal", "padding", "prefix:length=1", "causal")])
    assert re.findall(r"(\S) masked (\(.*?\))", out) == [
        ("╱", "(causal)"), ("╲", "(padding)"), ("┆", "(prefix:length=1)")
    ]  # fmt: skip
    painted = plain(drawn([rules(*["causal", "padding"] * 7)], 40, 256))
    assert "    masked (causal, padding)" in painted


def test_long_names_stand_above_their_panels():
    lines = drawn([rules("causal", "a longer name", "of two")]).splitlines()
    names, row = lines[1:3]
    assert [names.index(name) for name in ("causal", "a longer", "of")] == [
        place.start() for place in re.finditer("▒+", row)
    ]


def test_rules_of_one_sign_share_a_line():
    assert "╳ masked (a, b)" in drawn([rules("a", "b")])


def test_what_is_masked_is_not_called_broken():
    values, masked = np.array([[0.5, np.nan]] * 2), np.array([[0, 1]] * 2)
    axis = indices("", 2)
    grid = Grid("g", ((Heatmap("h", values, axis, axis, masked=masked),),), ("",), ("H0",))
    assert "not a number" not in drawn([grid])
    whole = grid.panels[0][0]._replace(masked=None)
    assert "not a number" in drawn([grid._replace(panels=((whole,),))])
