"""A reader's own colour map: which of the two ramps it can stand for, if any."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib import colormaps

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.registry import slip

CATEGORIES = 24
"""A list of at most so many colours is one of categories."""

MOST_COLOUR = 0.4
"""How colourful the middle of a diverging map may be: its zero is no value of its own."""

SCALES = "viridis, magma, cividis, Greys, Blues; RdBu_r for differences"

Kind = Literal["sequential", "diverging", "uneven"]


def kind_of_map(name: str) -> Kind:
    """What the lightness of a map's colours does: rise or fall, or turn once in the middle.

    Raises:
        AttnvizError: there is no such map, it is a list of categories, or both of its ends are
            one colour: different values would look alike.
    """
    if name not in colormaps:
        raise AttnvizError(f"--cmap: unknown colour map {name!r}", _guess(name))
    colours = colormaps[name]
    if colours.N <= CATEGORIES:
        raise AttnvizError(
            f"--cmap: {name} is a list of {colours.N} colours for categories, not a scale",
            f"for example {SCALES}",
        )
    levels = colours(np.linspace(0, 1, 256))[:, :3]
    if np.abs(levels[0] - levels[-1]).max() < 0.12:
        raise AttnvizError(
            f"--cmap: {name} ends in the colour in which it begins: 0 and 1 would look alike",
            f"for example {SCALES}",
        )
    return _kind(levels)


def lightness(colours: Array) -> Array:
    """CIE L*, 0 to 100, of sRGB colours [n, 3] of 0 to 1 -> [n]."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    low = luminance <= 216 / 24389
    return np.asarray(np.where(low, luminance * 24389 / 27, 116 * np.cbrt(luminance) - 16))


def _kind(colours: Array) -> Kind:
    steps = np.diff(lightness(colours))
    half = len(steps) // 2
    if _one_way(steps):
        return "sequential"
    turns = _one_way(steps[:half]) and _one_way(steps[half:])
    grey = np.ptp(colours[half]) < MOST_COLOUR
    return "diverging" if turns and grey else "uneven"


def _one_way(steps: Array) -> bool:
    """Whether lightness goes up, or down, but for trifles."""
    up, down = steps[steps > 0].sum(), -steps[steps < 0].sum()
    return bool(min(up, down) <= 0.04 * max(up, down))


def _guess(name: str) -> str:
    by_case = {each.casefold(): each for each in colormaps}
    guess = by_case.get(name.casefold()) or slip(name, list(colormaps))
    return f"did you mean `{guess}`?" if guess else f"for example {SCALES}"
