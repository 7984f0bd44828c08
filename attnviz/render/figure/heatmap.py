"""One heatmap, and many small ones, in a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from rich.cells import cell_len

from attnviz.nn.masks import Hatch
from attnviz.nn.types import Array
from attnviz.render.figure.boxes import LEFT_TO_RIGHT, Box, Page, left_to_right
from attnviz.render.figure.colours import (
    MASKED,
    colour_map,
    ink,
    limits,
    pixels,
    token_colour,
)
from attnviz.render.figure.text_layout import SMALL, lines_of, title_lines, title_width
from attnviz.render.hatches import HATCHES
from attnviz.views.kinds import Axis, Grid, Heatmap, Scale
from attnviz.views.numbers import short
from attnviz.views.pooling import pool

MAX_NUMBERS = 20
MAX_HATCHED = 64
MAX_CELLS = 1024
CELL, LARGEST = 0.42, 5.2
LETTER = 0.072
"""The width of a letter of 8 points, in inches, on the generous side."""
BAR_WIDTH, BAR_SPACE = 0.12, 0.75
TITLE, LINE = 0.24, 0.15
MAX_LABEL = 18
MIN_NOTE_WIDTH = 1.2


def heatmap_box(heatmap: Heatmap) -> Box:
    """Title, labels, cells, colour bar, notes."""
    n_row, n_column = heatmap.values.shape
    step = -(-max(n_row, n_column) // MAX_CELLS)
    heatmap = pool(heatmap, min(step, n_row), min(step, n_column))
    n_row, n_column = heatmap.values.shape
    cell = min(CELL, LARGEST / max(n_row, n_column, 1))
    width, height = max(n_column * cell, cell), max(n_row * cell, cell)
    left = 0.2 + _max_length(heatmap.rows) * LETTER
    rotated = any(cell_len(label) * LETTER > cell - 0.04 for label in _labels(heatmap.columns))
    total = max(left + width + BAR_SPACE, min(title_width(heatmap.title), LARGEST))
    title = title_lines(heatmap.title, total)
    names = _max_length(heatmap.columns) * LETTER if rotated else 0.1
    above = TITLE + LINE * (len(title) - 1) + 0.2 + names
    signs = _is_hatched(heatmap) and len(heatmap.masked_by()) > 1
    notes = _wrapped((*heatmap.notes, *_reasons([heatmap], signs)), total)

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, "\n".join(title), fontsize=9, weight="bold")
        axes = page.axes(x + left, y + above, width, height)
        colours = pixels(heatmap)
        axes.imshow(colours, aspect="auto", interpolation="nearest")
        _ticks(axes, heatmap, cell, rotated)
        _hatch(axes, heatmap)
        if max(n_row, n_column) <= MAX_NUMBERS:
            _numbers(axes, heatmap, colours)
        bar_height = max(height, 0.9)
        colour_bar(page, x + left + width + 0.12, y + above, bar_height, heatmap.scale)
        for number, line in enumerate(notes):
            at = y + above + bar_height + 0.08 + LINE * number
            page.text(x, at, line, fontsize=7, color="0.35")

    return Box(total, above + max(height, 0.9) + 0.1 + LINE * len(notes), draw, flows=True)


PANEL_PIXELS, PANEL_GAP, DOTS = 72, 8, 100
FRAME = (170, 170, 170, 255)


def grid_box(grid: Grid) -> Box:
    """All panels in one image: a hundred axes would take longer to draw than to look at."""
    panels = grid.present()
    side = max(max(panel.values.shape) for panel in panels)
    step = -(-side // (2 * PANEL_PIXELS))
    small = [[None if p is None else _pooled(p, step) for p in row] for row in grid.panels]
    shown = [panel for row in small for panel in row if panel is not None]
    n_row = max(panel.values.shape[0] for panel in shown)
    n_column = max(panel.values.shape[1] for panel in shown)
    zoom = max(1, PANEL_PIXELS // max(n_row, n_column))
    cells = (n_row * zoom + PANEL_GAP, n_column * zoom + PANEL_GAP)
    rows, columns = len(small), max(len(row) for row in small)
    left = 0.1 + max((cell_len(name) for name in grid.row_names), default=0) * LETTER
    width, height = columns * cells[1] / DOTS, rows * cells[0] / DOTS
    total = max(left + width + BAR_SPACE, min(title_width(grid.title), LARGEST))
    title = title_lines(grid.title, total)
    top = TITLE + LINE * (len(title) - 1)
    above = top + 0.22
    first = shown[0]
    axes_note = f"each panel: rows {first.rows.name}, columns {first.columns.name}"
    notes = _wrapped((*grid.notes, axes_note, *first.notes, *_reasons(shown)), total)

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, "\n".join(title), fontsize=9, weight="bold")
        axes = page.axes(x + left, y + above, width, height)
        axes.imshow(_composed(small, zoom, cells), aspect="auto", interpolation="nearest")
        axes.set_axis_off()
        for number, name in enumerate(grid.row_names):
            page.text(x, y + above + number * cells[0] / DOTS, name)
        for number, name in enumerate(grid.column_names):
            page.text(x + left + number * cells[1] / DOTS, y + top, name)
        bar_height = min(max(height, 0.9), 2)
        colour_bar(page, x + left + width + 0.05, y + above, bar_height, first.scale)
        for number, line in enumerate(notes):
            at = y + above + max(height, 0.9) + LINE * number
            page.text(x, at, line, fontsize=7, color="0.35")

    return Box(total, above + max(height, 0.9) + LINE * len(notes), draw)


def _pooled(panel: Heatmap, step: int) -> Heatmap:
    n_row, n_column = panel.values.shape
    return pool(panel._replace(notes=()), min(step, n_row), min(step, n_column))


def _composed(
    panels: Sequence[Sequence[Heatmap | None]], zoom: int, cells: tuple[int, int]
) -> Array:
    """The panels' colours in one image [height, width, 4], each cell zoom × zoom pixels."""
    height, width = len(panels) * cells[0], max(len(row) for row in panels) * cells[1]
    image = np.full((height, width, 4), 255, np.uint8)
    for i, row in enumerate(panels):
        for j, panel in enumerate(row):
            if panel is not None:
                colours = pixels(panel).repeat(zoom, 0).repeat(zoom, 1)
                top, left = i * cells[0] + 1, j * cells[1] + 1
                frame = slice(top - 1, top + colours.shape[0] + 1)
                image[frame, left - 1 : left + colours.shape[1] + 1] = FRAME
                image[top : top + colours.shape[0], left : left + colours.shape[1]] = colours
    return image


def colour_bar(page: Page, x: float, y: float, height: float, scale: Scale) -> None:
    """Drawn from the very map and limits that colour the cells."""
    low, high = limits(scale)
    axes = page.axes(x, y, BAR_WIDTH, height)
    steps = np.linspace(0, 1, 256)[::-1, None]
    colours = colour_map(scale.kind)(steps)
    axes.imshow(colours, aspect="auto", extent=(0, 1, low, high), interpolation="nearest")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    ticks, names = _bar_ticks(scale)
    axes.set_yticks(ticks, names, fontsize=7)
    axes.tick_params(length=2, pad=2)


def _bar_ticks(scale: Scale) -> tuple[list[float], list[str]]:
    first, last, what = scale.ends
    if scale.by == "log":
        return [0, 0.25, 0.5, 0.75, 1], ["≤1e-4", "0.001", "0.01", "0.1", "1"]
    if scale.kind == "diverging":
        return [-1, 0, 1], [first, "0", last]
    if what:
        return [0, 1], [first, f"{last}\n{what}"]
    middle = (scale.low + scale.high) / 2
    return [0, 0.5, 1], [first, short(middle), last]


def _ticks(axes: Axes, heatmap: Heatmap, cell: float, rotated: bool) -> None:
    every = max(1, int(np.ceil(0.13 / cell)))
    size = min(8.0, max(4.0, cell * 72 * 0.9 * every))
    axes.xaxis.tick_top()
    for axis, lines in ((heatmap.columns, axes.xaxis), (heatmap.rows, axes.yaxis)):
        positions = list(range(0, len(axis), every))
        labels = _labels(axis)
        lines.set_ticks(positions, [labels[i] for i in positions], fontsize=size)
        if axis.special:
            for position, text in zip(positions, lines.get_ticklabels(), strict=True):
                text.set_color(token_colour(axis, position))
    axes.tick_params(length=0, pad=2)
    if rotated:
        for label in axes.get_xticklabels():
            label.set_rotation(90)
    axes.set_xlabel(heatmap.columns.name, fontsize=7, color="0.35")
    axes.set_ylabel(heatmap.rows.name, fontsize=7, color="0.35")
    axes.xaxis.set_label_position("top")
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _labels(axis: Axis) -> list[str]:
    labels = []
    for position, label in enumerate(axis.labels):
        short_label = label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"
        labels.append(left_to_right(f"{axis.index(position)} {short_label}".strip()))
    return labels


def _max_length(axis: Axis) -> int:
    # a wide character takes the room of two letters
    plain = (label.replace(LEFT_TO_RIGHT, "") for label in _labels(axis))
    return max((sum(1 + (ord(c) > 0x1100) for c in label) for label in plain), default=1)


def _numbers(axes: Axes, heatmap: Heatmap, colours: Array) -> None:
    largest = float(np.abs(heatmap.values[np.isfinite(heatmap.values)]).max(initial=0))
    decimals = 2 if largest < 10 else 1 if largest < 100 else 0
    size = 7 if heatmap.values.shape[1] <= 12 else 6
    for i, row in enumerate(heatmap.values):
        for j, value in enumerate(row):
            if heatmap.masked is not None and heatmap.masked[i, j]:
                continue
            text = heatmap.scale.number(float(value), decimals)
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color=ink(colours[i, j]))


def _hatch(axes: Axes, heatmap: Heatmap) -> None:
    """Masked cells by reason; each reason has a hatch of its own."""
    if heatmap.masked is None or not _is_hatched(heatmap):
        return
    for number in np.unique(heatmap.masked):
        if number:
            cells = np.argwhere(heatmap.masked == number)
            axes.add_patch(
                PathPatch(
                    _squares(cells),
                    facecolor=MASKED,
                    edgecolor="0.55",
                    linewidth=0,
                    hatch=HATCHES[heatmap.hatch(int(number))].pattern,
                )
            )


def _is_hatched(heatmap: Heatmap) -> bool:
    return bool(max(heatmap.values.shape) <= MAX_HATCHED)


def _squares(cells: Array) -> Path:
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])
    vertices = (cells[:, None, ::-1] + corners).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(cells)
    return Path(vertices, codes)


def _reasons(heatmaps: Sequence[Heatmap], signs: bool = False) -> tuple[str, ...]:
    """What the colours mean that are not on the scale; with `signs`, which hatch is which."""
    notes = []
    reasons: dict[str, Hatch] = {}
    for heatmap in heatmaps:
        reasons |= heatmap.masked_by()
    if reasons:
        names = (f"{HATCHES[h].sign} {name}" if signs else name for name, h in reasons.items())
        notes.append(f"grey: masked ({', '.join(names)})")
    if any(heatmap.is_broken() for heatmap in heatmaps):
        notes.append("purple: not a number")
    return tuple(notes)


def _wrapped(texts: Sequence[str], width: float) -> list[str]:
    return [line for text in texts for line in lines_of(text, max(width, MIN_NOTE_WIDTH), SMALL)]
