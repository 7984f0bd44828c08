"""The bar that says which value has which colour."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from attnviz.render.figure.boxes import Page
from attnviz.render.figure.colours import colour_map, limits
from attnviz.render.figure.text_layout import SMALL, points
from attnviz.views.kinds import Scale
from attnviz.views.numbers import short

BAR_WIDTH, BAR_SPACE = 0.12, 0.75


def colour_bar(page: Page, x: float, y: float, height: float, scale: Scale) -> None:
    """At the right of cells, with its upper left corner there."""
    fill_bar(page.axes(x, y, BAR_WIDTH, height), scale)


def fill_bar(axes: Axes, scale: Scale) -> None:
    """Drawn from the very map and limits that colour the cells."""
    low, high = limits(scale)
    steps = np.linspace(0, 1, 256)[::-1, None]
    colours = colour_map(scale.kind)(steps)
    axes.imshow(colours, aspect="auto", extent=(0, 1, low, high))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    ticks, names = _ticks(scale)
    axes.set_yticks(ticks, names, fontsize=points(SMALL))
    axes.tick_params(length=2, pad=2)
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _ticks(scale: Scale) -> tuple[list[float], list[str]]:
    first, last, what = scale.ends
    if scale.by == "root":
        values = (0, 0.01, 0.1, 0.25, 0.5, 1)
        return [value**0.5 for value in values], [f"{value:g}" for value in values]
    if scale.by == "log":
        return [0, 0.25, 0.5, 0.75, 1], ["≤1e-4", "0.001", "0.01", "0.1", "1"]
    if scale.kind == "diverging":
        return [-1, 0, 1], [first, "0", last]
    if what:
        return [0, 1], [first, f"{last}\n{what}"]
    middle = (scale.low + scale.high) / 2
    return [0, 0.5, 1], [first, short(middle), last]
