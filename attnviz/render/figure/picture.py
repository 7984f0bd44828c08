"""An image, and heat maps laid over it, in a figure."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes

from attnviz.nn.types import Array
from attnviz.render.figure.boxes import Box, Page
from attnviz.render.figure.heatmap import BAR_ROOM, BAR_WIDTH, LETTER, LINE, TITLE
from attnviz.views.kinds import Picture

PANEL, GAP = 1.35, 0.12
COLOUR = (1.0, 0.42, 0.0)
MOST = 0.9
"""How much of the image the highest value covers; 0 covers nothing, so that a map says as much
over black as over white."""


def picture_box(picture: Picture) -> Box:
    """The image alone at the left, the overlays in rows and columns beside it."""
    n_row = max(1, len(picture.overlays))
    n_column = max((len(row) for row in picture.overlays), default=0)
    left = PANEL + 0.35 + max((len(name) for name in picture.row_names), default=0) * LETTER
    above = TITLE + 0.22
    width = left + n_column * (PANEL + GAP) + BAR_ROOM
    height = n_row * (PANEL + GAP)
    laid = "the more orange covers the image, the higher the value; the bar: over black, over white"
    notes = [
        line for note in (*picture.notes, laid) for line in wrap(note, int(width / LETTER / 0.82))
    ]

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, picture.title, fontsize=9, weight="bold")
        _panel(page.axes(x, y + above, PANEL, PANEL), picture, None)
        page.text(x, y + TITLE, "the image", color="0.35")
        for i, line in enumerate(picture.overlays):
            top = y + above + i * (PANEL + GAP)
            page.text(x + PANEL + 0.25, top, picture.row_names[i])
            for j, values in enumerate(line):
                at = x + left + j * (PANEL + GAP)
                if i == 0:
                    page.text(at, y + TITLE, picture.column_names[j])
                if values is None:
                    continue
                _panel(page.axes(at, top, PANEL, PANEL), picture, values)
        _bar(page, x + left + n_column * (PANEL + GAP), y + above, min(height - GAP, 2.0), picture)
        for number, note in enumerate(notes):
            page.text(x, y + above + height + number * LINE, note, fontsize=7, color="0.35")

    return Box(width, above + height + LINE * len(notes) + 0.05, draw)


def _panel(axes: Axes, picture: Picture, values: Array | None) -> None:
    height, width = picture.image.shape[:2]
    extent = (0, width, height, 0)
    axes.imshow(picture.image, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    if values is not None:
        shades = np.nan_to_num(picture.heatmap("", values).shades())
        colours = np.empty((*shades.shape, 4))
        colours[..., :3], colours[..., 3] = COLOUR, MOST * shades
        axes.imshow(colours, extent=extent, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _bar(page: Page, x: float, y: float, height: float, picture: Picture) -> None:
    axes = page.axes(x, y, 1.5 * BAR_WIDTH, height)
    share = MOST * np.linspace(1, 0, 256)[:, None, None]
    ground = np.array([0.0, 1.0])[None, :, None]
    colours = share * np.array(COLOUR) + (1 - share) * ground
    low, high = picture.scale.low, picture.scale.high
    high = high if high > low else low + 1  # a map that is zero everywhere
    axes.imshow(colours, aspect="auto", extent=(0, 1, low, high), interpolation="nearest")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    first, last, _ = picture.scale.ends
    axes.set_yticks([low, high], [first, last], fontsize=7)
    axes.tick_params(length=2, pad=2)
