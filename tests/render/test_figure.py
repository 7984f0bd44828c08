"""PNG, SVG and PDF: true colours, the same bytes twice, and no token that breaks them."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from attnviz.errors import AttnvizError
from attnviz.render import render
from attnviz.render.figure import fonts
from attnviz.render.figure.boxes import MAX_WIDTH, Box, Page, lay_out, left_to_right
from attnviz.render.figure.colours import BROKEN, MASKED, ink, pixels
from attnviz.render.figure.curves import curves_box
from attnviz.render.figure.heatmap import colour_bar, heatmap_box
from attnviz.render.figure.table import table_box
from attnviz.render.figure.text import HEAD, HEADING, LINE, TERM, text_box
from attnviz.render.figure.text import MAX_WIDTH as MAX_TEXT_WIDTH
from attnviz.render.figure.text_layout import lines_of, width_of
from attnviz.views.kinds import (
    Curves,
    Grid,
    Heatmap,
    Line,
    Scale,
    Table,
    Text,
    around_zero,
    indices,
)
from tests.render import samples

SUFFIXES = (".png", ".svg", ".pdf")


def image(views):
    content, _ = render(views, ".png")
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def holds(picture, colour, at_least=1):
    """Whether exactly this colour is in the picture."""
    found = (picture == np.round(np.array(colour[:3]) * 255).astype(np.uint8)).all(-1)
    return found.sum() >= at_least


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_view(suffix):
    content, warnings = render(samples.every_kind(), suffix)
    assert content[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    # on a machine without a Chinese font, that is said, and nothing else
    assert [w for w in warnings if not w.startswith("no installed font has CJK")] == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_bytes_twice(suffix):
    views = samples.every_kind()
    assert render(views, suffix) == render(views, suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_of_a_user_s_settings_gets_in(suffix):
    views = samples.every_kind()
    before = render(views, suffix)
    with matplotlib.rc_context(
        {"font.size": 30, "image.cmap": "jet", "savefig.dpi": 7, "lines.color": "red"}
    ):
        assert render(views, suffix) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_hostile_tokens(suffix):
    """One $ would abort a figure whose text is read as mathematics."""
    content, _ = render(samples.hostile_views(), suffix)
    if suffix == ".svg":
        assert ET.fromstring(content).tag.endswith("svg")


def test_svg_refers_to_nothing_outside():
    content, _ = render(samples.every_kind(), ".svg")
    links = re.findall(rb'href="([^"]*)"', content)
    assert links
    assert all(link.startswith((b"#", b"data:")) for link in links)
    assert b"<script" not in content


VALUES = np.array([[0.0, 0.25], [0.5, 1.0]])


def square(values=VALUES, **given):
    rows, columns = (
        indices(name, n) for name, n in zip(("query", "key"), values.shape, strict=True)
    )
    return Heatmap("h", values, rows, columns, **given)


@pytest.mark.parametrize("value", [0.0, 0.25, 0.5, 1.0])
def test_cells_have_the_colour_of_their_value(value):
    assert holds(image([square()]), colormaps["Blues"](value), at_least=3000)


@pytest.mark.parametrize(
    ("scale", "name"), [(Scale(0, 1), "Blues"), (Scale(-3, 3, "diverging"), "RdBu_r")]
)
def test_the_colour_bar_is_the_mapping(scale, name):
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
        assert np.abs(cell / 255 - colormaps[name](place)[:3]).max() <= 0.01


@pytest.mark.parametrize("value", [-2.0, 0.0, 2.0])
def test_differences_are_white_at_zero(value):
    values = np.array([[-2.0, 0.0], [1.0, 2.0]])
    picture = image([square(values, scale=around_zero(values))])
    assert holds(picture, colormaps["RdBu_r"]((value + 2) / 4), at_least=3000)


def test_the_same_value_has_the_same_colour_in_every_panel_and_figure():
    small, large = square(np.array([[0.1, 0.2]])), square(np.array([[0.1, 0.9]]))
    np.testing.assert_array_equal(pixels(small)[0, 0], pixels(large)[0, 0])


def test_masked_and_broken_cells_have_colours_of_their_own():
    values = np.array([[0.0, np.nan], [0.5, 1.0]])
    drawn = pixels(square(values, masked=np.array([[1, 0], [0, 0]])))
    np.testing.assert_array_equal(drawn[0, 0], np.round(np.array(MASKED) * 255))
    np.testing.assert_array_equal(drawn[0, 1], np.round(np.array(BROKEN) * 255))
    for kind in ("Blues", "RdBu_r"):
        ramp = colormaps[kind](np.linspace(0, 1, 256))[:, :3]
        for own in (MASKED, BROKEN):
            assert np.abs(ramp - np.array(own[:3])).max(-1).min() > 0.02


def test_masked_is_hatched_and_named():
    content, _ = render([samples.two_reasons()], ".svg")
    assert content.count(b"<pattern") >= 2
    assert "masked (╱ causal, ┄ window:size=2)".encode() in content


def test_numbers_up_to_twenty():
    for n, has in ((4, True), (20, True), (21, False)):
        content, _ = render([samples.heatmap(n, masked=None)], ".svg")
        assert (b"<!-- 1.00 -->" in content) == has


@pytest.mark.parametrize("kind", ["Blues", "RdBu_r"])
def test_numbers_can_be_read_on_every_colour(kind):
    for colour in colormaps[kind](np.linspace(0, 1, 64)):
        c = np.round(colour[:3] * 255) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        light = float(linear @ [0.2126, 0.7152, 0.0722])
        text = 0.0 if ink(np.round(np.append(c, 1) * 255)) == "black" else 1.0
        assert (max(light, text) + 0.05) / (min(light, text) + 0.05) >= 4.5


@pytest.mark.parametrize("by", ["all", "row", "head", "log"])
def test_the_bar_says_its_scale(by):
    content, _ = render([square(scale=Scale(0, 1, by=by))], ".svg")
    said = {"all": b"<!-- 0.5 -->", "row": b"of each row", "head": b"of each head", "log": b"0.001"}
    assert said[by] in content


def test_a_grid_is_one_image():
    content, _ = render([samples.every_kind()[1]], ".svg")
    assert content.count(b"<image") == 2  # the panels, the bar


def test_many_and_large_heads():
    large = square(np.full((3000, 3000), 0.5))
    content, _ = render([Grid("g", ((large, large),), ("L0",), ("H0", "H1")), large], ".png")
    assert len(content) < 1_000_000
    assert b"each cell" in render([large], ".svg")[0]


def test_a_figure_beyond_all_measure_is_refused():
    with pytest.raises(AttnvizError, match="too large to draw"):
        render([samples.heatmap(50)] * 200, ".png")


def test_characters_that_no_font_has_are_named(monkeypatch):
    monkeypatch.setattr(fonts, "_others", list)
    _, warnings = fonts.families(["我看见了", "नमस्ते", "abc"])
    (warning,) = warnings
    assert "CJK UNIFIED" in warning
    assert "DEVANAGARI" in warning
    assert "apt install" in warning


def test_another_font_is_found_for_them(monkeypatch):
    monkeypatch.setattr(
        fonts, "_covered", lambda path: {ord("我")} if "other" in path else set(range(128))
    )
    monkeypatch.setattr(fonts, "_others", lambda: ["/other.ttf"])
    monkeypatch.setattr(fonts.font_manager.fontManager, "addfont", lambda path: None)
    monkeypatch.setattr(fonts.font_manager.FontProperties, "get_name", lambda self: "Other")
    assert fonts.families(["我"]) == (["DejaVu Sans", "Other"], ())


def test_layout_flows_and_never_overlaps():
    sizes = [(9, 1, False), (5, 2, True), (5, 3, True), (5, 1, True), (2, 1, False), (1, 1, True)]
    boxes = [Box(width, height, lambda *a: None, flows) for width, height, flows in sizes]
    width, height, placed = lay_out(boxes)
    assert width <= MAX_WIDTH + 0.3
    for i, (a, ax, ay) in enumerate(placed):
        assert ax + a.width <= width
        assert ay + a.height <= height
        for b, bx, by in placed[i + 1 :]:
            assert (
                ax + a.width <= bx
                or bx + b.width <= ax
                or ay + a.height <= by
                or by + b.height <= ay
            )
    assert placed[1][2] == placed[2][2] != placed[3][2]


def test_indices_stay_at_the_left_of_words_that_run_left():
    """Between marks that run left to right, so that each word keeps its own index."""
    assert left_to_right("3 saw") == "3 saw"
    mark = "\u200e"
    assert left_to_right("3 שלום") == f"{mark}3{mark} {mark}שלום"


def test_a_wide_table_wraps_and_stays_on_the_page():
    text = " ".join(f"word{i}" for i in range(120))
    box = table_box(Table("t", ("name", "value", "of what"), (("a", 0.5, text), ("b", 1.0, "x"))))
    assert box.width <= MAX_TEXT_WIDTH + 0.1
    assert box.height > HEAD + 6 * LINE  # a head, two rows, and lines of the one that wraps


class Drawn(list):
    """A page that keeps what is written on it: (x, y, text, style)."""

    def text(self, x, y, text, **style):
        self.append((x, y, text, style))


def written(box):
    page = Drawn()
    box.draw(page, 0, 0)
    return [each for each in page if each[2]]


def test_prose_stands_at_the_margin_below_its_heading():
    text = Text((Line("A title", tone="head"), Line("A paragraph."), Line("Another one.")))
    title, first, second = written(text_box(text))
    assert [each[0] for each in (title, first, second)] == [0, 0, 0]
    assert (title[3]["weight"], title[3]["fontsize"]) == ("bold", HEADING)
    assert second[1] - first[1] > LINE


def test_terms_have_a_column():
    term, words = written(text_box(Text((Line("a model", "model", "head"),))))
    assert (term[0], words[0]) == (0, TERM)
    assert words[3]["fontsize"] < HEADING


def test_columns_of_words_never_overlap():
    rows = (("W" * 30, 1.5, "a claim " * 20, "yes"), ("i" * 30, -22.25, "measured " * 9, "no"))
    words = written(table_box(Table("t", ("name", "a number", "claim", "holds"), rows)))
    ends: dict[float, list[tuple[float, float]]] = {}
    for x, y, text, style in words[1:]:
        left = x - width_of(text) if style["ha"] == "right" else x
        ends.setdefault(y, []).append((left, left + width_of(text)))
    for line in ends.values():
        assert all(a[1] < b[0] for a, b in pairwise(sorted(line)))


def test_no_column_of_numbers_is_cut_off():
    table = Table("t", tuple(f"column {i}" for i in range(30)), (tuple(range(30)),))
    assert table_box(table).width > 30 * width_of("column 1")


@given(st.text(max_size=60), st.floats(0.3, 3))
def test_lines_keep_every_character(text, width):
    kept = "".join(lines_of(text, width))
    assert re.sub("[ \u00a0]", "", kept) == re.sub("[ \u00a0]", "", text)


def test_widths_are_those_that_are_drawn():
    text, font = "Every key, 0.25 of it: (A) wide & narrow", FontProperties(size=8)
    drawn, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    assert width_of(text, 8) == pytest.approx(drawn / 72, rel=0.03)


def test_notes_of_curves_are_written():
    x = np.arange(3.0)
    curves = Curves("c", x, "x", (("a name " * 12, x),), "y", notes=("what it means",))
    content, _ = render([curves], ".svg")
    assert b"what it means" in content
    assert curves_box(curves).width < 8.5


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
    assert b"<!-- 0.00 -->" in content
    assert b"-0.00" not in content
