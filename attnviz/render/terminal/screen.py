"""What the terminal can show, and the colours and signs for it."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from attnviz.nn.masks import Hatch
from attnviz.render.hatches import HATCHES
from attnviz.render.line_breaking import MAX_PER_CELL
from attnviz.tokens import ASCII, in_encoding

Depth = Literal[0, 16, 256, 16777216]

# From dark to light; their lightness rises at every step, also after the nearest of 256 colours
# is taken (viridis and its like lose that: a test holds it here).
SEQUENTIAL = (233, 17, 18, 19, 25, 31, 37, 43, 79, 121, 157, 193, 229, 230)
BELOW = (233, 17, 18, 19, 26, 33, 39, 81, 123)
ABOVE = (233, 52, 88, 124, 160, 202, 208, 214, 221)
MASKED, MASKED_SIGN, BROKEN = 240, 250, 125
FAINT = 246
"""For numbers that round to the low end of the scale, so that the others stand out."""

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

    @property
    def paints(self) -> bool:
        """Whether cells can be told apart by colour alone."""
        return self.depth >= 256

    def text(self, text: str) -> str:
        """`text` in the characters that the terminal has."""
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
) -> Style:
    """Of colours by their number among 256."""
    return Style(
        color=None if foreground is None else Color.from_ansi(foreground),
        bgcolor=None if background is None else Color.from_ansi(background),
        bold=bold or None,
        dim=dim or None,
    )


@cache
def cell_style(level: float, depth: Depth, lower: float | None = None) -> Style:
    """The style of a cell at a level of the colour scale, with a text colour that can be read.

    With `lower`, of an upper half block: `level` above, `lower` below.
    """
    background = cell_colour(level, depth)
    if lower == NOTHING_LEVEL:
        return Style(color=background)
    if lower is not None:
        return Style(color=background, bgcolor=cell_colour(lower, depth))
    text = FAINT if level == 0 else 16 if luminance(background) > 0.179 else 231
    return Style(color=Color.from_ansi(text), bgcolor=background)


MASKED_LEVEL, BROKEN_LEVEL, NOTHING_LEVEL = 2.0, 3.0, 4.0
"""Levels off the scale: a masked cell, one that is not a number, none at all."""


@cache
def cell_colour(level: float, depth: Depth) -> Color:
    """The colour of a level: [0, 1] on the sequential ramp, 10 + [-1, 1] on the diverging one."""
    if level == MASKED_LEVEL:
        return Color.from_ansi(MASKED)
    if level == BROKEN_LEVEL:
        return Color.from_ansi(BROKEN)
    ramp: tuple[int, ...] = SEQUENTIAL
    share = level
    if level > 5:
        ramp, share = (ABOVE if level >= 10 else BELOW), abs(level - 10)
    exact = min(max(share, 0.0), 1.0) * (len(ramp) - 1)
    if depth <= 256:
        return Color.from_ansi(ramp[round(exact)])
    low = min(int(exact), len(ramp) - 2)
    ends = [Color.from_ansi(ramp[low + i]).get_truecolor() for i in (0, 1)]
    mixed = [a + (b - a) * (exact - low) for a, b in zip(*ends, strict=True)]
    return Color.from_rgb(*mixed)


def luminance(colour: Color) -> float:
    """Relative luminance as WCAG 2 defines it; black text reads better above 0.179."""

    def linear(channel: int) -> float:
        c = channel / 255
        return c / 12.92 if c <= 0.04045 else float(((c + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(c) for c in colour.get_truecolor())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
