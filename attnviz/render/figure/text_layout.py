"""Text in a figure: how wide it is, and the lines that it takes."""

from __future__ import annotations

from functools import cache

from matplotlib import rcParams
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from rich.cells import cell_len

from attnviz.render.line_breaking import wrapped

TEXT, SMALL, TITLE = 8.0, 7.0, 9.0
"""Sizes in points."""
BOLD = 1.12
"""How much wider bold letters are; titles are bold."""
PIXELS = 100
WITHOUT_GLYPH = (0.0, 0.65, 1.0)
"""Of a character that the first font lacks, by its cells on a terminal, in ems."""


def width_of(text: str, points: float = TEXT) -> float:
    """Inches that a line takes."""
    return sum(map(_ems, text)) * points / 72


def lines_of(text: str, width: float, points: float = TEXT) -> list[str]:
    """The text in lines of about so many inches."""
    whole = width_of(text, points)
    cells = cell_len(text) if whole <= width else int(cell_len(text) * width / whole)
    return [line.replace("\u00a0", " ") for line in wrapped(text, max(1, cells))]


def points(size: float) -> float:
    """A size in points, where labels have the size that Matplotlib's `font.size` says."""
    return size * float(rcParams["font.size"]) / TEXT


def on_page(colour: str) -> str:
    """A grey that reads as well on the page of a dark style sheet as this one does on white."""
    if sum(to_rgb(rcParams["figure.facecolor"])) > 1.5:
        return colour
    red, green, blue = to_rgb(colour)
    return str(1 - red) if red == green == blue else colour


def title_width(title: str) -> float:
    return width_of(title, TITLE * BOLD)


def title_lines(title: str, width: float) -> list[str]:
    return lines_of(title, width, TITLE * BOLD)


def _ems(char: str) -> float:
    return _ems_in(char, rcParams["font.family"][0])


@cache
def _ems_in(char: str, family: str) -> float:
    font = _font(family)
    if not font.get_char_index(ord(char)):
        return WITHOUT_GLYPH[cell_len(char)]
    return float(font.load_char(ord(char)).linearHoriAdvance / 65536 / PIXELS)


@cache
def _font(family: str) -> FT2Font:
    font = FT2Font(findfont(FontProperties(family=[family])))
    font.set_size(PIXELS, 72)
    return font
