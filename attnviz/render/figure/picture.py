"""An image, and heat maps laid over it, in a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from rich.cells import cell_len

from attnviz.nn.types import Array
from attnviz.render.figure.boxes import MAX_WIDTH, Box, Page
from attnviz.render.figure.colours import limits
from attnviz.render.figure.heatmap import BAR_SPACE, BAR_WIDTH, LETTER, LINE
from attnviz.render.figure.heatmap import HEAD as TITLE
from attnviz.render.figure.text_layout import SMALL, points
from attnviz.render.line_breaking import wrapped
from attnviz.views.kinds import Picture

PANEL, GAP, NAMES = 1.35, 0.12, 0.22
COLOUR, BELOW = (1.0, 0.42, 0.0), (0.1, 0.3, 1.0)
"""Of values above zero, and below it on a scale that has both."""
MAX_COVER = 0.9
"""How much of the image the highest value covers; 0 covers nothing, so that a map says as much
over black as over white."""


def picture_box(picture: Picture, bare: bool = False) -> Box:
    """The image alone at the left, the overlays in rows and columns beside it; columns that are
    too many go below."""
    left = PANEL + 0.35 + max((cell_len(name) for name in picture.row_names), default=0) * LETTER
    parts = _parts(len(picture.column_names), int((MAX_WIDTH - left - BAR_SPACE) / (PANEL + GAP)))
    part_height = NAMES + len(picture.overlays) * (PANEL + GAP)
    end = left + max(len(part) for part in parts) * (PANEL + GAP)
    width = end if bare else max(end + BAR_SPACE, cell_len(picture.title) * LETTER * 1.1)
    notes = [] if bare else _notes(picture, width)
    head = TITLE if picture.title else 0.0
    height = head + len(parts) * part_height

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, picture.title, fontsize=9, weight="bold")
        page.text(x, y + head, "the image", color="0.35")
        _panel(page.axes(x, y + head + NAMES, PANEL, PANEL), picture, None)
        for number, part in enumerate(parts):
            _part(page, x, y + head + number * part_height, left, picture, part)
        if not bare:
            _bar(page, x + end, y + head + NAMES, min(height - head - NAMES - GAP, 2.0), picture)
        for number, note in enumerate(notes):
            page.text(x, y + height + number * LINE, note, fontsize=7, color="0.35")

    return Box(width, height + LINE * len(notes) + 0.05, draw)


def _parts(n_column: int, maximum: int) -> list[range]:
    """The columns in lines of about the same length, at most so many in each."""
    n_line = max(1, -(-n_column // max(1, maximum)))
    per_line = max(1, -(-n_column // n_line))
    return [range(i, min(i + per_line, n_column)) for i in range(0, max(1, n_column), per_line)]


def _notes(picture: Picture, width: float) -> list[str]:
    laid = "the more orange covers the image, the higher the value; the bar: over black, over white"
    if picture.scale.kind == "diverging":
        laid = "orange above zero, blue below; the bar: over black, over white"
    letters = int(width / LETTER / 0.82)
    return [line for note in (*picture.notes, laid) for line in wrapped(note, letters)]


def _part(page: Page, x: float, y: float, left: float, picture: Picture, columns: range) -> None:
    """Some columns of the overlays, under their names."""
    for number, column in enumerate(columns):
        at = x + left + number * (PANEL + GAP)
        page.text(at, y, picture.column_names[column])
        for i, line in enumerate(picture.overlays):
            values, top = line[column], y + NAMES + i * (PANEL + GAP)
            if values is not None:
                _panel(page.axes(at, top, PANEL, PANEL), picture, values)
    for i, name in enumerate(picture.row_names):
        page.text(x + PANEL + 0.25, y + NAMES + i * (PANEL + GAP), name)


def _panel(axes: Axes, picture: Picture, values: Array | None) -> None:
    height, width = picture.image.shape[:2]
    extent = (0, width, height, 0)
    # a map over the image in colour would be taken for one of its colours
    image = picture.image if values is None else picture.grey()
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    if values is not None:
        shades = np.nan_to_num(picture.heatmap("", values).shades())
        axes.imshow(_cover(shades), extent=extent, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _cover(shades: Array) -> Array:
    """Places on the scale, -1 to 1 -> [..., 4]: what is laid over the image."""
    colours = np.empty((*shades.shape, 4))
    colours[..., :3] = np.where(shades[..., None] < 0, BELOW, COLOUR)
    colours[..., 3] = MAX_COVER * abs(shades)
    return colours


def _bar(page: Page, x: float, y: float, height: float, picture: Picture) -> None:
    axes = page.axes(x, y, 1.5 * BAR_WIDTH, height)
    start, stop = limits(picture.scale)
    cover = _cover(np.linspace(stop, start, 256))[:, None]
    ground = np.array([0.0, 1.0])[None, :, None]
    colours = cover[..., 3:] * cover[..., :3] + (1 - cover[..., 3:]) * ground
    low, high = picture.scale.low, picture.scale.high
    high = high if high > low else low + 1  # a map that is zero everywhere
    axes.imshow(colours, aspect="auto", extent=(0, 1, low, high), interpolation="nearest")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    first, last, _ = picture.scale.ends
    axes.set_yticks([low, high], [first, last], fontsize=points(SMALL))
    axes.tick_params(length=2, pad=2)
