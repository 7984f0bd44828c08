"""Colours of figures: one map for what is positive, one for what has a sign."""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap

from attnviz.nn.types import Array
from attnviz.views.kinds import Axis, Heatmap, Scale

MASKED = (0.84, 0.82, 0.79, 1.0)
BROKEN = (0.75, 0.0, 0.75, 1.0)


@cache
def colour_map(kind: str) -> Colormap:
    """White is 0 in both: Blues grows darker, RdBu red above zero and blue below."""
    return colormaps["RdBu_r" if kind == "diverging" else "Blues"]


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
    """Black or white, whichever reads better on a colour [4] of bytes (WCAG 2 luminance)."""
    c = colour[:3] / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return "black" if float(linear @ np.array([0.2126, 0.7152, 0.0722])) > 0.179 else "white"
