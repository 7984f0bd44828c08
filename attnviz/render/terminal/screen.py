"""What the terminal can show, and the colours and signs for it."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from attnviz.nn.masks import Hatch
from attnviz.render import palette
from attnviz.render.hatches import HATCHES
from attnviz.render.line_breaking import MAX_PER_CELL
from attnviz.render.palette import COLOURS, Background, Rgb
from attnviz.tokens import ASCII, in_encoding

CONTROLS = {code: 0x2400 + code for code in range(2, 0x20)} | dict.fromkeys(range(0x7F, 0xA0), "␡")
"""Labels have none left; what still comes here must not style the screen or break its lines. 0 and
1 mark spaces while lines are broken."""


Depth = Literal[0, 16, 256, 16777216]

SHADES = "·░▒▓█"
DIGITS = "0123456789"
RISING, FALLING = "12345", "abcde"


class Screen(NamedTuple):
    """Where a view is drawn."""

    width: int = 80
    depth: Depth = 0
    """How many colours; 0 for none."""
    unicode: bool = True
    """Whether it has blocks and all our signs, each in one cell."""
    encoding: str = "ascii"
    """Of the text, if not."""
    background: Background = "dark"

    @property
    def paints(self) -> bool:
        """Whether cells can be told apart by colour alone."""
        return self.depth >= 256

    def text(self, text: str) -> str:
        """`text` in the characters that the terminal has, none of which moves its cursor."""
        text = text.translate(CONTROLS)
        if self.unicode:
            return text.replace("\u00a0", " ")
        return in_encoding(text.translate(ASCII), self.encoding)

    def hatch(self, hatch: Hatch) -> str:
        """The sign of a masked cell."""
        return HATCHES[hatch].sign if self.unicode else HATCHES[hatch].ascii


Row = list[Segment]
"""One line of the screen."""


class Block(NamedTuple):
    """Lines of one width, which can stand beside others."""

    rows: list[Row]
    width: int


def segment(text: str, style: Style | None = None) -> Segment:
    return Segment(text, style)


def fit(text: str, width: int, screen: Screen, right: bool = False) -> str:
    """`text` in exactly `width` cells, cut with an ellipsis or filled up."""
    if len(text) > MAX_PER_CELL * (
        width + 1
    ):  # measuring all of it would take its length each time
        text = text[: MAX_PER_CELL * (width + 1)] + "…" * (width + 1)
    text = screen.text(text)
    size = cell_len(text)
    if size > width:
        sign = "…" if screen.unicode else "~"
        text = set_cell_size(text, max(0, width - 1)).rstrip(" ") + sign if width else ""
        text = text if cell_len(text) <= width else set_cell_size(text, width)
        size = cell_len(text)
    # a word that runs from right to left must not carry its neighbours with it
    mark = "\u200e" if screen.unicode and _runs_left(text) else ""
    fill = " " * (width - size)
    return fill + text + mark if right else text + mark + fill


def _runs_left(text: str) -> bool:
    from unicodedata import bidirectional

    return not text.isascii() and any(bidirectional(c) in ("R", "AL", "AN") for c in text)


@cache
def style(
    foreground: int | None = None,
    background: int | None = None,
    *,
    bold: bool = False,
    dim: bool = False,
    reverse: bool = False,
) -> Style:
    """Of colours by their number among 256."""
    return Style(
        color=None if foreground is None else Color.from_ansi(foreground),
        bgcolor=None if background is None else Color.from_ansi(background),
        bold=bold or None,
        dim=dim or None,
        reverse=reverse or None,
    )


MASKED_LEVEL, BROKEN_LEVEL, NOTHING_LEVEL = 2.0, 3.0, 4.0
"""Levels off the scale: a masked cell, one that is not a number, none at all."""


def cell_style(level: float, screen: Screen, sign: bool = False) -> Style | None:
    """The style of a cell at a level of the colour scale, with a text colour that can be read.

    A level that rounds to 0 has the screen's own background. With 16 colours the text alone
    shows the level; with none there is no style.

    Args:
        sign: the cell holds a sign whose own darkness is the level, which must not be inverse.
    """
    return _cell_style(level, screen.depth, screen.background, sign)


@cache
def _cell_style(level: float, depth: Depth, background: Background, sign: bool) -> Style | None:
    if depth == 0:
        return None
    if depth == 16:
        return _style_of_16(level, background, sign)
    colours = COLOURS[background]
    if level == MASKED_LEVEL:
        return style(colours.masked_sign, colours.masked)
    colour = cell_colour(level, depth, background)
    if colour is None:
        return style(colours.faint)
    black = palette.text_is_black(_rgb(colour))
    return Style(color=Color.from_ansi(16 if black else 231), bgcolor=colour)


def _style_of_16(level: float, background: Background, sign: bool) -> Style | None:
    """Faint near zero, then plain, in colour, in bold colour, and numbers at the end inverse;
    the reader chose what the 16 colours are, so they say no more than the shades and digits do."""
    if level == MASKED_LEVEL:
        return style(dim=True)
    if level == BROKEN_LEVEL:
        return style(5)
    share = level - 10 if level > 5 else level
    strength = abs(share)
    colour = (4 if background == "light" else 6) if level < 5 else 3 if share > 0 else 4
    if strength < 0.005:
        return style(dim=True)
    if strength < 0.25:
        return None
    return style(colour, bold=strength >= 0.5, reverse=strength >= 0.75 and not sign)


def half_cells(above: float, below: float, screen: Screen) -> Segment:
    """Two cells in one character, of a screen that paints."""
    upper, lower = (cell_colour(level, screen.depth, screen.background) for level in (above, below))
    if upper is None:
        return segment(" ") if lower is None else segment("▄", Style(color=lower))
    return segment("▀", Style(color=upper, bgcolor=lower))


@cache
def cell_colour(level: float, depth: Depth, background: Background) -> Color | None:
    """The colour of a level, [0, 1] on the sequential ramp, 10 + [-1, 1] on the diverging one;
    None for the screen's own."""
    colours = COLOURS[background]
    if level == NOTHING_LEVEL:
        return None
    if level == MASKED_LEVEL:
        return Color.from_ansi(colours.masked)
    if level == BROKEN_LEVEL:
        return Color.from_ansi(colours.broken)
    signed = level > 5
    share = level - 10 if signed else level
    if depth <= 256:
        number = palette.of_256(share, background, signed)
        return None if number is None else Color.from_ansi(number)
    if abs(share) < 0.005:
        return None
    return Color.from_rgb(*(palette.diverging if signed else palette.sequential)(share, background))


def category_style(number: int, screen: Screen, dim: bool = False) -> Style | None:
    """The text colour of the n-th of several that have no order."""
    if not screen.depth:
        return None
    if not screen.paints:
        return style(CATEGORIES_OF_16[number % len(CATEGORIES_OF_16)], dim=dim)
    categories = COLOURS[screen.background].categories
    return style(categories[number % len(categories)], dim=dim)


CATEGORIES_OF_16 = (4, 3, 2, 5, 1, 6)
"""The nearest among the reader's own colours."""


def _rgb(colour: Color) -> Rgb:
    red, green, blue = colour.get_truecolor()
    return red, green, blue
