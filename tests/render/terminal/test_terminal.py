"""The terminal: whole outputs, and that no width, label or encoding breaks them."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Grid, Heatmap, indices
from tests.conftest import HERE
from tests.render import samples
from tests.render.terminal.drawing import DEPTHS, WIDTHS, drawn, plain

SCREENS = {
    **{f"width-{width}": Screen(width) for width in WIDTHS},
    "ascii": Screen(80, 0, False),
    "colour-16": Screen(80, 16),
    "colour-256": Screen(80, 256),
    "truecolor": Screen(80, 16777216),
}


@pytest.mark.parametrize("name", SCREENS)
def test_whole_output(name):
    """Compared with tests/render/expected; ATTNVIZ_UPDATE=1 writes it anew, to be read."""
    views = [*samples.every_kind(), samples.two_reasons(), samples.broken(), samples.log_scale(),
             samples.heatmap(30), samples.heatmap(60), samples.heatmap(300)]  # fmt: skip
    found = render(views, SCREENS[name])
    path = HERE / "render" / "expected" / f"{name}.txt"
    if os.environ.get("ATTNVIZ_UPDATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(found)
    assert found.decode() == path.read_text()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("unicode", [True, False])
def test_nothing_is_wider_than_the_screen(width, depth, unicode):
    for views in (samples.every_kind(), samples.hostile_views()):
        for line in plain(drawn(views, width, depth, unicode)).splitlines():
            assert cell_len(line) <= width, line


@settings(deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(40, 200),
    st.sampled_from(DEPTHS),
    st.booleans(),
)
def test_every_shape_at_every_width(n_row, n_column, width, depth, unicode):
    view = Heatmap(
        "h", np.full((n_row, n_column), 0.5), indices("query", n_row), indices("key", n_column)
    )
    grid = Grid("g", ((view, view),), ("L0",), ("H0", "H1"))
    lines = plain(drawn([view, grid], width, depth, unicode)).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert lines[0] == "h"


def test_hostile_tokens_style_nothing():
    for depth in DEPTHS:
        text = drawn(samples.hostile_views(), 120, depth)
        assert not set(plain(text)) & {"\x1b", "\x07", "\r", "\t", "\u202e", "\u200b", "\u200d"}
        assert "[/INST]" in text
        assert "␛[31mred" in plain(text)


@pytest.mark.parametrize("depth", DEPTHS)
def test_ascii_only(depth):
    views = [
        *samples.every_kind(),
        *samples.hostile_views(),
        samples.two_reasons(),
        samples.broken(),
    ]
    render(views, Screen(80, depth, unicode=False)).decode("ascii")


def test_monochrome_has_no_escapes_and_colour_says_the_same():
    """Small matrices hold the same numbers with and without colours."""
    views = [samples.heatmap(), samples.differences()]
    bare, coloured = drawn(views), drawn(views, depth=256)
    assert "\x1b" not in bare
    numbers = re.compile(r"-?\d+\.\d\d")
    assert numbers.findall(bare) == numbers.findall(plain(coloured))


def test_heatmaps_stand_side_by_side_where_they_fit():
    wide, narrow = drawn([samples.heatmap()] * 2, 100), drawn([samples.heatmap()] * 2, 50)
    assert wide.splitlines()[0].count("encoder.0.self") == 2
    assert narrow.splitlines()[0].count("encoder.0.self") == 1
