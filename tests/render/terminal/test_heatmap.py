"""Heatmaps on a screen: pooled, masked, with cells that are no numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnviz.render.terminal import render
from attnviz.render.terminal.heatmap import fitted
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Axis, Heatmap, indices
from tests.render import samples
from tests.render.terminal.drawing import WIDTHS, drawn, plain


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
    assert "0.00  ╱╱╱╱  ╱╱╱╱" in drawn([small])
    assert "0.00  ////  ////" in drawn([small], unicode=False)
    assert "masked (causal)" in drawn([small])
    n = 30
    shades = samples.heatmap(n, values=np.zeros((n, n)))
    row = next(line for line in drawn([shades], 120).splitlines() if line.startswith(" 0 I"))
    assert row.count("·") == 2
    assert row.count("╱") == n - 1
    dots = next(line for line in drawn([shades], 40).splitlines() if line.startswith(" 0 I"))
    assert (dots.count("·"), dots.count("╱")) == (1, n - 1)
    colours = render([samples.heatmap(100, values=np.zeros((100, 100)))], Screen(120, 256)).decode()
    assert "\x1b[38;5;238m▀" in colours  # masked above, and below it zero: the background itself


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


def test_an_overview_needs_no_numbers_where_there_are_colours():
    """30 layers take 15 lines; without colours the numbers are there."""
    view = Heatmap("map", np.full((30, 9), 0.5), indices("layer", 30), indices("head", 9),
                   small=True)  # fmt: skip
    painted = plain(drawn([view], 80, 256)).splitlines()
    rows = [line for line in painted if "▀" in line]
    assert len(rows) == 15
    assert {line.count("▀") for line in rows} == {9 * 4}
    assert drawn([view], 80).count("0.50") == 30 * 9


@pytest.mark.parametrize(
    ("n_column", "largest", "texts"),
    [
        (3, 0.3, "0.30 0.00"),
        (3, 0.03, "0.030 0.001"),
        (3, 0.003, "0.0030 0.0012"),
        (13, 0.03, "0.03 0.00"),
        (13, 0.003, "0.0030 0.0012"),
    ],
)
def test_small_numbers_have_digits_where_there_is_room(n_column, largest, texts):
    values = np.full((2, n_column), 0.0012)
    values[:, 0] = largest
    text = plain(drawn([Heatmap("t", values, indices("q", 2), indices("k", n_column))], 120))
    row = next(line for line in text.splitlines() if line.startswith("1 "))
    assert row.split()[1:] == [texts.split()[0], *[texts.split()[1]] * (n_column - 1)]


def test_no_index_is_cut_off_at_the_edge():
    from attnviz.render.terminal.heatmap import _ruler

    labels = tuple(map(str, range(36)))
    assert _ruler(Axis("key", labels), 1).split() == ["0", "5", "10", "15", "20", "25", "30"]
