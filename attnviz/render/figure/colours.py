"""Colours of figures: one map for what is positive, one for what has a sign."""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.colors import Colormap, ListedColormap

from attnviz.nn.types import Array
from attnviz.render import palette
from attnviz.render.figure.settings import own_map
from attnviz.views.kinds import Axis, Heatmap, Scale


def _rgba(number: int) -> tuple[float, float, float, float]:
    red, green, blue = palette.xterm(number)
    return red / 255, green / 255, blue / 255, 1.0


MASKED = _rgba(palette.COLOURS["light"].masked)
BROKEN = _rgba(palette.COLOURS["light"].broken)


STEPS = 1001
"""So that hundredths of the scale have their exact colours."""


def colour_map(kind: str) -> Colormap:
    """The reader's own for a scale of this kind, or ours."""
    return own_map(kind) or _colour_map(kind)


@cache
def _colour_map(kind: str) -> Colormap:
    """White is 0 in both: one grows darker, one blue below zero and orange above."""
    if kind == "diverging":
        colours = [palette.diverging(level) for level in np.linspace(-1, 1, STEPS)]
    else:
        colours = [palette.sequential(level) for level in np.linspace(0, 1, STEPS)]
    return ListedColormap(np.array(colours) / 255, name=kind)


def category(number: int) -> str:
    """The colour of the n-th token or curve."""
    return "#{:02x}{:02x}{:02x}".format(*palette.category(number))


def limits(scale: Scale) -> tuple[float, float]:
    """The places on the scale that the colour map's ends stand for."""
    return (-1.0, 1.0) if scale.kind == "diverging" else (0.0, 1.0)


def pixels(heatmap: Heatmap) -> Array:
    """The colours of all cells, [n_row, n_column, 4], bytes."""
    shades = heatmap.shades()
    low, high = limits(heatmap.scale)
    colours = colour_map(heatmap.scale.kind)((np.nan_to_num(shades, nan=low) - low) / (high - low))
    colours[np.isnan(shades)] = BROKEN
    if heatmap.masked is not None:
        colours[heatmap.masked != 0] = MASKED
    return np.asarray((colours * 255).round(), np.uint8)


def token_colour(axis: Axis, position: int) -> str:
    """Special tokens are lighter."""
    return "0.55" if axis.is_special(position) else "black"


def ink(colour: Array) -> str:
    """Black or white, whichever reads better on a colour [4] of bytes."""
    red, green, blue = (int(channel) for channel in colour[:3])
    return "black" if palette.text_is_black((red, green, blue)) else "white"
