"""The terminal: whole outputs, and that no width, label or encoding breaks them."""

from __future__ import annotations

import os
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import Color

from attnviz.render.terminal import render
from attnviz.render.terminal.heatmap import fitted
from attnviz.render.terminal.screen import ABOVE, BELOW, SEQUENTIAL, Screen, fit, luminance
from attnviz.views.kinds import Axis, Curves, Grid, Heatmap, Table, indices
from tests.conftest import HERE
from tests.render import samples

WIDTHS = (40, 80, 120)
DEPTHS = (0, 16, 256, 16777216)

ESCAPES = re.compile("\x1b\\[[0-9;]*m")


def drawn(views, width=80, depth=0, unicode=True):
    return render(views, Screen(width, depth, unicode)).decode()


def plain(text):
    return ESCAPES.sub("", text)


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


@pytest.mark.parametrize("n", [30, 60, 180, 1000])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("depth", [0, 256])
def test_long_texts_are_never_blank_and_say_what_was_put_together(n, width, depth):
    """Rich tables go blank at 30 tokens × 80 columns."""
    text = drawn([samples.heatmap(n)], width, depth)
    rows = [line for line in plain(text).splitlines() if re.match(r" *\d+", line)]
    assert len(rows) >= 15
    signs = "▀" if depth and n > 39 else "█▓▒░" if not depth else " "
    assert any(sign in row for row in rows for sign in signs)
    shown, layout = fitted(samples.heatmap(n), Screen(width, depth))
    assert layout.gutter + 1 + layout.cell * len(shown.columns) <= width
    pooled = len(shown.columns) < n
    assert pooled == (
        f"of {n} × {n}, summed over keys, averaged over queries" in plain(text).replace("\n", " ")
    )


@pytest.mark.parametrize("n", [300, 301])
def test_labels_of_pooled_rows_are_there(n):
    """Also where the last row stands for one place, and its index is the shorter one."""
    labels = tuple("word" for _ in range(n))
    drawing = drawn([Heatmap("t", np.zeros((n, n)), Axis("q", labels), Axis("k", labels))])
    lines = [line for line in plain(drawing).splitlines() if re.match(r" *\d+-\d+ ", line)]
    assert len(lines) == 60
    assert all(" word " in line for line in lines)


def test_masked_is_neither_zero_nor_blank():
    """With and without colours, in numbers, shades and dots."""
    values = np.zeros((3, 3))
    masked = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], np.uint8)
    small = samples.heatmap(3, values=values, masked=masked)
    assert "0.00 ╱╱╱╱ ╱╱╱╱" in drawn([small])
    assert "0.00 //// ////" in drawn([small], unicode=False)
    assert "masked (causal)" in drawn([small])
    n = 30
    shades = samples.heatmap(n, values=np.zeros((n, n)))
    row = next(line for line in drawn([shades], 120).splitlines() if line.startswith(" 0 I"))
    assert row.count("·") == 2
    assert row.count("╱") == n - 1
    dots = next(line for line in drawn([shades], 40).splitlines() if line.startswith(" 0 I"))
    assert (dots.count("·"), dots.count("╱")) == (1, n - 1)
    colours = render([samples.heatmap(100, values=np.zeros((100, 100)))], Screen(120, 256)).decode()
    assert "38;5;233;48;5;240" in colours or "38;5;240;48;5;233" in colours


def test_reasons_are_told_apart():
    text = drawn([samples.two_reasons()])
    assert "╱ masked (causal)" in text
    assert "┄ masked (window:size=2)" in text


def test_numbers_that_are_none_show():
    text = drawn([samples.broken()])
    assert "nan" in text
    assert "inf" in text
    many = np.full((40, 40), 0.5)
    many[3, 3] = np.nan
    text = drawn([Heatmap("h", many, indices("query", 40), indices("key", 40))])
    assert "!" in text
    assert "! not a number" in text


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


def lightness(number):
    return luminance(Color.from_ansi(number))


@pytest.mark.parametrize("ramp", [SEQUENTIAL, BELOW, ABOVE])
def test_ramps_rise_in_lightness_among_256_colours(ramp):
    """The nearest of 256 colours to viridis and its like do not."""
    steps = [lightness(number) for number in ramp]
    assert all(a < b for a, b in pairwise(steps))


@pytest.mark.parametrize("number", sorted({*SEQUENTIAL, *BELOW, *ABOVE}))
def test_text_on_every_colour_can_be_read(number):
    background = lightness(number)
    text = 0.0 if background > 0.179 else 1.0
    contrast = (max(text, background) + 0.05) / (min(text, background) + 0.05)
    assert contrast >= 4.5


def test_fit_cuts_and_fills_to_the_cell():
    screen = Screen()
    for text in ("", "a", "地地地", "a" * 50, "a地" * 9, "שלום"):
        for width in range(1, 12):
            assert cell_len(fit(text, width, screen)) == width
            assert cell_len(fit(text, width, screen, right=True)) == width
    assert fit("abcdef", 4, screen) == "abc…"
    assert fit("abcdef", 4, Screen(unicode=False)) == "abc~"


def test_heatmaps_stand_side_by_side_where_they_fit():
    wide, narrow = drawn([samples.heatmap()] * 2, 100), drawn([samples.heatmap()] * 2, 60)
    assert wide.splitlines()[0].count("encoder.0.self") == 2
    assert narrow.splitlines()[0].count("encoder.0.self") == 1


def test_tables_never_drop_a_column():
    columns = tuple(f"column number {i}" for i in range(12))
    table = Table("t", columns, (tuple(float(i) for i in range(12)),))
    for width in (40, 80, 200):
        text = " ".join(drawn([table], width).split())
        assert all(name in text for name in columns)


def test_long_tables_say_so():
    table = Table("t", ("a",), tuple((i,) for i in range(100)))
    assert "60 of 100 rows shown" in drawn([table])


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
    assert re.findall("(.) masked (.*)", out) == [
        ("╱", "(causal)"), ("╲", "(padding)"), ("┆", "(prefix:length=1)")
    ]  # fmt: skip
    painted = plain(drawn([rules(*["causal", "padding"] * 7)], 40, 256))
    assert "grey: masked (causal, padding)" in painted


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


@pytest.mark.parametrize(
    ("n", "said"),
    [(50, ""), (100, "every 2nd"), (200, "every 3rd"), (300, "every 4th"), (840, "every 11th"),
     (1600, "every 21st"), (1680, "every 22nd"), (8700, "every 112th")],
)  # fmt: skip
def test_curves_say_which_points_are_shown(n, said):
    out = drawn([Curves("c", np.arange(n), "x", (("y", np.arange(n)),), "y")])
    assert re.findall(r"every \d+\w\w", out) == ([said] if said else [])


def test_flat_and_empty_curves():
    curves = Curves(
        "c", np.arange(3), "x", (("flat", np.ones(3)), ("nan", np.full(3, np.nan))), "y"
    )
    text = drawn([curves])
    assert "flat" in text
    assert "???" in text
