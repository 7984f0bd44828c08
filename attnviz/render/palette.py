"""The colours of terminal, figure and page: one set, for dark and for light backgrounds.

One ramp runs from nearly black to white in even steps of OKLab lightness. A dark background reads
it upwards, a light one downwards: either way nearness to the background means nearness to zero,
and a colour-blind eye, which still sees lightness, loses nothing.
"""

from __future__ import annotations

from functools import cache
from math import cos, radians, sin
from typing import Literal, NamedTuple

Background = Literal["dark", "light"]
BACKGROUNDS: tuple[Background, ...] = ("dark", "light")
Rgb = tuple[int, int, int]
"""Red, green and blue of sRGB, 0 to 255."""

# (lightness, hue in degrees, chroma) in OKLCh; between them a straight line in OKLab
Path = tuple[tuple[float, float, float], ...]
_RAMP: Path = (
    (0.20, 275, 0.10), (0.25, 272, 0.13), (0.32, 268, 0.15), (0.40, 258, 0.125), (0.50, 245, 0.112),
    (0.60, 225, 0.107), (0.70, 200, 0.113), (0.80, 172, 0.13), (0.88, 145, 0.135),
    (0.94, 120, 0.10), (1.0, 110, 0.0),
)  # fmt: skip
_ABOVE: Path = (
    (0.20, 40, 0.05), (0.28, 40, 0.09), (0.40, 42, 0.125), (0.50, 45, 0.14), (0.60, 48, 0.15),
    (0.70, 55, 0.15), (0.80, 70, 0.13), (0.90, 85, 0.08), (1.0, 85, 0.0),
)  # fmt: skip
_BELOW: Path = (
    (0.20, 275, 0.09), (0.28, 270, 0.13), (0.40, 262, 0.15), (0.50, 257, 0.155), (0.60, 252, 0.14),
    (0.70, 245, 0.12), (0.80, 238, 0.09), (0.90, 235, 0.05), (1.0, 235, 0.0),
)  # fmt: skip


class Colours(NamedTuple):
    """What stands on one background, by number among the 256 colours of terminals."""

    ends: tuple[float, float]
    """OKLab lightness of the level 0, which is the background's, and of the level 1."""
    signed_ends: tuple[float, float]
    """The same of the diverging ramp."""
    sequential: tuple[int, ...]
    """Of levels in even steps up to 1; level 0 has no colour, as the background is its colour."""
    above: tuple[int, ...]
    below: tuple[int, ...]
    faint: int
    """For numbers that round to the low end of the scale, so that the others stand out."""
    masked: int
    masked_sign: int
    broken: int
    categories: tuple[int, ...]
    """Of what is told apart and has no order: tokens, curves."""


COLOURS: dict[Background, Colours] = {
    "dark": Colours(
        ends=(0.20, 0.97),
        signed_ends=(0.20, 0.85),
        sequential=(18, 19, 25, 31, 37, 79, 121, 230),
        above=(52, 88, 130, 166, 208, 215),
        below=(18, 24, 26, 68, 74, 153),
        faint=246,
        masked=238,
        masked_sign=250,
        broken=125,
        categories=(33, 208, 79, 139, 220, 195),
    ),
    "light": Colours(
        ends=(1.0, 0.27),
        signed_ends=(1.0, 0.38),
        sequential=(157, 79, 37, 31, 25, 19, 18),
        above=(223, 215, 172, 130, 124, 88),
        below=(189, 45, 38, 32, 25, 19),
        faint=243,
        masked=252,
        masked_sign=240,
        broken=125,
        categories=(33, 166, 29, 90, 58, 163),
    ),
}


def sequential(level: float, background: Background = "light") -> Rgb:
    """The colour of a level from 0 to 1."""
    return _colour(_RAMP, COLOURS[background].ends, level)


def diverging(level: float, background: Background = "light") -> Rgb:
    """The colour of a level from -1 (blue) over 0 (the background's) to 1 (orange)."""
    return _colour(_ABOVE if level >= 0 else _BELOW, COLOURS[background].signed_ends, abs(level))


def of_256(level: float, background: Background, signed: bool = False) -> int | None:
    """The same among 256 colours; None for a level that rounds to 0, the background itself."""
    colours = COLOURS[background]
    ramp = colours.sequential
    if signed:
        ramp = colours.above if level >= 0 else colours.below
    step = round(min(abs(level), 1.0) * len(ramp))
    return ramp[step - 1] if step else None


def category(number: int, background: Background = "light") -> Rgb:
    """The colour of the n-th of several; after the last they start again."""
    categories = COLOURS[background].categories
    return xterm(categories[number % len(categories)])


@cache
def xterm(number: int) -> Rgb:
    """What terminals draw for one of their 256 colours; the first 16 are the reader's own."""
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return grey, grey, grey
    steps = (0, 95, 135, 175, 215, 255)
    red, rest = divmod(number - 16, 36)
    return steps[red], steps[rest // 6], steps[rest % 6]


def luminance(colour: Rgb) -> float:
    """Relative luminance as WCAG 2 defines it; black text reads better above 0.179."""

    def linear(channel: int) -> float:
        c = channel / 255
        return c / 12.92 if c <= 0.04045 else float(((c + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(c) for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_is_black(colour: Rgb) -> bool:
    """Whether black or white is the text that is read better on a colour."""
    return luminance(colour) > 0.179


@cache
def _colour(path: Path, ends: tuple[float, float], level: float) -> Rgb:
    low, high = ends
    lightness = low + (high - low) * min(max(level, 0.0), 1.0)
    after = next(i for i, point in enumerate(path) if point[0] >= lightness)
    first, last = path[max(0, after - 1)], path[after]
    span = last[0] - first[0]
    share = (lightness - first[0]) / span if span else 0.0
    a, b = (
        (1 - share) * first[2] * turn(radians(first[1])) + share * last[2] * turn(radians(last[1]))
        for turn in (cos, sin)
    )
    return _srgb(lightness, a, b)


def _srgb(lightness: float, a: float, b: float) -> Rgb:
    """OKLab -> sRGB (Ottosson 2020)."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return _byte(red), _byte(green), _byte(blue)


def _byte(linear: float) -> int:
    linear = min(max(linear, 0.0), 1.0)
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * value)
