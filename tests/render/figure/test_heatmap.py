"""Heatmaps and grids in figures: true colours, their bar, masks and numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from attnviz.render import render
from attnviz.render.figure.boxes import Page
from attnviz.render.figure.colours import pixels
from attnviz.render.figure.grid import plan_grid
from attnviz.render.figure.heatmap import (
    _texts_of_cells,
    colour_bar,
    heatmap_box,
    plan_heatmap,
)
from attnviz.render.palette import diverging, sequential
from attnviz.render.style import PLAIN, FigureStyle
from attnviz.views.kinds import Grid, Heatmap, Scale, around_zero, indices
from tests.render import samples
from tests.render.figure.drawing import holds, image, square


@pytest.mark.parametrize("value", [0.0, 0.25, 0.5, 1.0])
def test_cells_have_the_colour_of_their_value(value):
    assert holds(image([square()]), np.array(sequential(value)) / 255, at_least=3000)


@pytest.mark.parametrize("scale", [Scale(0, 1), Scale(-3, 3, "diverging")])
def test_the_colour_bar_is_the_mapping(scale):
    """Its colour at every height is the one that a cell of that value gets."""
    figure = Figure(figsize=(2, 4), dpi=100)
    colour_bar(Page(figure, 2.0, 4.0), 0.5, 0.5, 3.0, scale)
    file = io.BytesIO()
    figure.savefig(file)
    column = np.asarray(Image.open(file).convert("RGB"))[50:350, 56].astype(int)
    for place in (0.02, 0.25, 0.5, 0.75, 0.98):
        value = scale.low + place * (scale.high - scale.low)
        cell = pixels(square(np.array([[value]]), scale=scale))[0, 0, :3].astype(int)
        assert np.abs(column[round((1 - place) * 299)] - cell).max() <= 3
        true = diverging(2 * place - 1) if scale.kind == "diverging" else sequential(place)
        assert np.abs(cell - np.array(true)).max() <= 3


@pytest.mark.parametrize("value", [-2.0, 0.0, 2.0])
def test_differences_are_white_at_zero(value):
    values = np.array([[-2.0, 0.0], [1.0, 2.0]])
    picture = image([square(values, scale=around_zero(values))])
    assert holds(picture, np.array(diverging(value / 2)) / 255, at_least=3000)


def test_masked_is_hatched_and_named():
    content, _ = render([samples.two_reasons()], ".svg")
    assert content.count(b"<pattern") >= 2
    assert "masked (╱ causal, ┄ window:size=2)".encode() in content


def test_numbers_up_to_twenty():
    for n, has in ((4, True), (20, True), (21, False)):
        content, _ = render([samples.heatmap(n, masked=None)], ".svg")
        assert (b">1.00<" in content) == has


@pytest.mark.parametrize("by", ["all", "row", "head", "log"])
def test_the_bar_says_its_scale(by):
    content, _ = render([square(scale=Scale(0, 1, by=by))], ".svg")
    said = {"all": b">0.5<", "row": b"of each row", "head": b"of each head", "log": b"0.001"}
    assert said[by] in content


def test_a_grid_is_one_image():
    content, _ = render([samples.every_kind()[1]], ".svg")
    assert content.count(b"<image") == 2  # the panels, the bar


def test_many_and_large_heads():
    large = square(np.full((3000, 3000), 0.5))
    content, _ = render([Grid("g", ((large, large),), ("L0",), ("H0", "H1")), large], ".png")
    assert len(content) < 1_000_000
    assert b"each cell" in render([large], ".svg")[0]


def test_long_titles_wrap():
    narrow = square()
    long = narrow._replace(title="a title of many words " * 9)
    assert heatmap_box(long).width < 6
    assert heatmap_box(long).height > heatmap_box(narrow).height


def test_a_grid_names_the_masks_of_all_its_panels():
    masked = np.array([[0, 1], [0, 0]])
    panels = tuple(square(masked=masked, reasons=(name,)) for name in ("causal", "padding"))
    content, _ = render([Grid("g", (panels,), ("L0",), ("H0", "H1"))], ".svg")
    assert b"grey: masked (causal, padding)" in content


def test_numbers_that_round_to_zero_have_no_sign():
    values = np.array([[-0.001, 1.0], [1.0, -1.0]])
    content, _ = render([square(values, scale=around_zero(values))], ".svg")
    assert b">0.00<" in content
    assert b">-0.00<" not in content


def test_counts_have_no_decimals():
    content, _ = render([square(np.array([[0.0, 12.0], [3.0, 7.0]]), scale=Scale(0, 12))], ".svg")
    assert b">3<" in content
    assert b">3.0<" not in content
    halves, _ = render([square(np.array([[0.0, 12.5], [3.0, 7.0]]), scale=Scale(0, 13))], ".svg")
    assert b">3.0<" in halves


def test_the_sentence_about_a_head_stands_below_unless_the_caption_says_it():
    said = square()._replace(caption="looks at the next token")
    for bare in (False, True):
        content, _ = render([said], ".svg", FigureStyle(bare=bare))
        assert (b">looks at the next token<" in content) == (not bare)


def test_a_row_of_very_many_keys_is_no_hairline():
    for n_row, least in ((1, 0.15), (20, 1.5)):
        heatmap = Heatmap("", np.zeros((n_row, 3000)), indices("q", n_row), indices("k", 3000))
        plan = plan_heatmap(heatmap, PLAIN, None)
        assert plan.heatmap.values.shape == (n_row, 1000)
        assert least <= plan.height < 2
    grid = plan_grid(Grid("", ((heatmap,),), ("",), ("",)), PLAIN)
    assert grid.panels[0].heatmap.values.shape[0] == 20
    assert grid.panel[1] > 0.2 * grid.panel[0]


def test_small_numbers_have_digits(generator):
    for largest, text in ((0.5, "0.50"), (0.034, "0.034"), (0.0012, "0.0012"), (12.0, "12.0")):
        heatmap = Heatmap("", np.array([[largest, 0.1 * largest]]), indices("q", 1),
                          indices("k", 2))  # fmt: skip
        assert _texts_of_cells(heatmap)[0][2] == text
