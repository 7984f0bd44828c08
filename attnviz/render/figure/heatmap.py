"""One heatmap in a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.masks import Hatch
from attnviz.nn.types import Array
from attnviz.render.figure.bar import BAR_SPACE, BAR_WIDTH, colour_bar
from attnviz.render.figure.boxes import Box, Page, Room
from attnviz.render.figure.colours import MASKED, ink, pixels, token_colour
from attnviz.render.figure.labels import (
    DEEPEST,
    Labels,
    column_labels,
    notes_on,
    row_labels,
    upright_width,
)
from attnviz.render.figure.settings import own_map_name
from attnviz.render.figure.text_layout import (
    SMALL,
    TITLE,
    lines_of,
    on_page,
    points,
    title_lines,
    title_width,
    width_of,
)
from attnviz.render.hatches import HATCHES
from attnviz.render.style import PLAIN, FigureStyle
from attnviz.views.kinds import Axis, Heatmap
from attnviz.views.pooling import pool, pooling_notes, steps_within

__all__ = ["BAR_SPACE", "BAR_WIDTH", "HEAD", "LETTER", "LINE", "heatmap_box"]

MAX_NUMBERS = 20
MAX_HATCHED = 64
MAX_CELLS = 1024
CELL, WIDEST_CELL, LARGEST = 0.42, 0.72, 5.2
SMALLEST_CELL, SMALLEST_SIDE = 0.004, 0.3
"""Inches that a cell, and a whole matrix, take at least."""
LETTER = 0.072
"""The width of a letter of 8 points, in inches, on the generous side."""
HEAD, LINE, NAME = 0.24, 0.15, 0.17
"""The heights of a title, of a note and of an axis's name."""
LOWEST_BAR = 0.9
LOWEST_ROW, FEW_ROWS = 0.16, 1.6
"""Inches that a row has, and that all have together, before cells need not be square."""
PAD = 0.04
MIN_NOTE_WIDTH = 1.2


class Plan(NamedTuple):
    """Where everything of a heatmap stands, in inches from its upper left corner."""

    heatmap: Heatmap
    title: list[str]
    rows: Labels
    columns: Labels
    left: float
    above: float
    width: float
    height: float
    notes: list[str]
    said: tuple[str, ...]
    bar: bool
    numbers: float
    """The size of the values in the cells, in points; 0 for none."""

    @property
    def bar_height(self) -> float:
        return max(self.height, LOWEST_BAR) if self.bar else self.height


def heatmap_box(heatmap: Heatmap, style: FigureStyle = PLAIN, room: Room | None = None) -> Box:
    """Title, labels, cells, colour bar, notes; as large as they need, or as there is room."""
    plan = plan_heatmap(heatmap, style, room)
    end = plan.left + plan.width
    total = max(end + BAR_SPACE, _title_room(heatmap.title)) if plan.bar else end + PAD

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, "\n".join(plan.title), fontsize=TITLE, weight="bold")
        axes = page.axes(x + plan.left, y + plan.above, plan.width, plan.height)
        draw_heatmap(axes, plan)
        if plan.bar:
            colour_bar(page, x + end + 0.12, y + plan.above, plan.bar_height, heatmap.scale)
        for number, line in enumerate(plan.notes):
            at = y + plan.above + plan.bar_height + 0.08 + LINE * number
            page.text(x, at, line, fontsize=SMALL, color="0.35")

    below = 0.1 + LINE * len(plan.notes) if plan.notes or not style.bare else PAD
    width = total if room is None else room.width
    return Box(width, plan.above + plan.bar_height + below, draw, True, plan.said, heatmap.group)


def plan_heatmap(heatmap: Heatmap, style: FigureStyle, room: Room | None) -> Plan:
    """How large the cells are, which labels there are, what is said below."""
    heatmap = _drawable(heatmap)
    n_row, n_column = (max(1, n) for n in heatmap.values.shape)
    cell = min(CELL, LARGEST / max(n_row, n_column))
    if room is None:
        return _plan(heatmap, style, None, cell)
    cell = min(cell, 0.6 * room.width / n_column)
    for _ in range(3):  # labels depend on the cells, and the cells on the room the labels leave
        plan = _plan(heatmap, style, room, cell)
        cell = plan.height / n_row
    return plan


def _drawable(heatmap: Heatmap) -> Heatmap:
    """With cells that can be seen, fewer and larger where they are very many."""
    return pool(heatmap, *steps_within(heatmap.values.shape, MAX_CELLS))


def row_height(cell: float, n_row: int) -> float:
    """Inches of a row whose cells are `cell` wide: a few rows of very many keys are no hairline."""
    return max(cell, min(LOWEST_ROW, FEW_ROWS / n_row))


def _plan(heatmap: Heatmap, style: FigureStyle, room: Room | None, cell: float) -> Plan:
    """The plan if columns are about `cell` inches wide."""
    n_row, n_column = (max(1, n) for n in heatmap.values.shape)
    bar = not style.bare
    deepest = DEEPEST if room is None else 0.4 * room.width
    rows = row_labels(heatmap.rows, row_height(cell, n_row), deepest, style.bare)
    left = PAD + (NAME if heatmap.rows.name else 0) + rows.depth
    if room is None:
        wide = upright_width(heatmap.columns, style.bare)
        fits = wide <= WIDEST_CELL and wide * n_column <= LARGEST
        width = max(cell, wide if fits else 0) * n_column
        total = max(left + width + BAR_SPACE, _title_room(heatmap.title))
    else:
        width, total = room.width - left - (BAR_SPACE if bar else PAD), room.width
        _check_room(n_column, width)
    title = title_lines(heatmap.title, total) if heatmap.title else []
    columns = column_labels(heatmap.columns, width / n_column, deepest, style.bare)
    above = HEAD + LINE * (len(title) - 1) if title else 0.0
    above += columns.depth + 0.06 + (NAME if heatmap.columns.name else 0)
    notes, said = _notes(heatmap, rows, columns, total, style)
    low = row_height(min(cell, CELL), n_row)
    height = n_row * low if room is None else _height(room, above, notes, width, n_row)
    if room is not None:
        _check_room(n_row, height)
    numbers = _number_size(heatmap, width / n_column, height / n_row) if style.values else 0.0
    return Plan(
        heatmap, title, rows, columns, left, above, width, height, notes, said, bar, numbers
    )


def plan_on(heatmap: Heatmap, style: FigureStyle, width: float, height: float) -> Plan:
    """The cells of axes that are there, of so many inches; all else stands around them."""
    heatmap = _drawable(heatmap)
    n_row, n_column = (max(1, n) for n in heatmap.values.shape)
    cell = width / n_column, height / n_row
    rows = row_labels(heatmap.rows, cell[1], bare=style.bare)
    columns = column_labels(heatmap.columns, cell[0], bare=style.bare)
    numbers = _number_size(heatmap, *cell) if style.values else 0.0
    return Plan(heatmap, [], rows, columns, 0, 0, width, height, [], (), False, numbers)


def _title_room(title: str) -> float:
    return min(title_width(title), LARGEST) if title else 0.0


def _height(room: Room, above: float, notes: Sequence[str], width: float, n_row: int) -> float:
    """Of the matrix, in the room that there is; with square cells where any height will do."""
    if room.height is None:
        return n_row * row_height(min(CELL, width / max(n_row, 1)), n_row)
    below = 0.1 + LINE * len(notes) if notes else PAD
    return room.height - above - below


def _check_room(n_cell: int, inches: float) -> None:
    if inches < SMALLEST_SIDE or inches / n_cell < SMALLEST_CELL:
        raise AttnvizError(
            "--size: there is no room for the cells beside their labels",
            "a larger --size, a smaller --font-size, or --bare",
        )


def _notes(
    heatmap: Heatmap, rows: Labels, columns: Labels, width: float, style: FigureStyle
) -> tuple[list[str], tuple[str, ...]]:
    """What stands below; where nothing does, what has to be said elsewhere."""
    notes = heatmap_notes(heatmap, rows, columns, style)
    return ([], notes) if style.bare else (wrapped_notes(notes, width), ())


def heatmap_notes(
    heatmap: Heatmap, rows: Labels, columns: Labels, style: FigureStyle
) -> tuple[str, ...]:
    """All that has to be known; of a bare picture what it lacks."""
    lacking = notes_on(rows, columns)
    if style.bare:
        return (*lacking, *pooling_notes(heatmap))
    signs = _is_hatched(heatmap) and len(heatmap.masked_by()) > 1
    caption = (heatmap.caption,) if heatmap.caption else ()
    masks = mask_notes([heatmap], signs)
    return (*caption, *heatmap.notes, *masks, *lacking, *map_notes(heatmap))


def draw_heatmap(axes: Axes, plan: Plan) -> None:
    """The cells, their labels, hatches and values."""
    heatmap = plan.heatmap
    colours = pixels(heatmap)
    axes.imshow(colours, aspect="auto")
    _ticks(axes, plan)
    _hatch(axes, heatmap)
    if plan.numbers:
        _write_numbers(axes, heatmap, colours, plan.numbers)


def _ticks(axes: Axes, plan: Plan) -> None:
    axes.xaxis.tick_top()
    columns, rows = plan.heatmap.columns, plan.heatmap.rows
    for axis, lines, labels in (
        (columns, axes.xaxis, plan.columns),
        (rows, axes.yaxis, plan.rows),
    ):
        lines.set_ticks(list(labels.places), labels.shown(), fontsize=points(labels.points))
        for position, text in zip(labels.places, lines.get_ticklabels(), strict=True):
            text.set_color(on_page(token_colour(axis, position)))
            as_it_is(text)
    axes.tick_params(length=0, pad=2)
    if plan.columns.turned:
        for label in axes.get_xticklabels():
            label.set_rotation(90)
    name_axes(axes, rows, columns)


def as_it_is(text: Text) -> None:
    """No $ in it starts mathematics, also where its axes were made under other settings."""
    text.set_parse_math(False)
    text.set_usetex(False)


def name_axes(axes: Axes, rows: Axis, columns: Axis) -> None:
    axes.set_xlabel(columns.name, fontsize=points(SMALL), color=on_page("0.35"), labelpad=3)
    axes.set_ylabel(rows.name, fontsize=points(SMALL), color=on_page("0.35"), labelpad=3)
    axes.xaxis.set_label_position("top")
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _texts_of_cells(heatmap: Heatmap) -> list[tuple[int, int, str]]:
    finite = heatmap.values[np.isfinite(heatmap.values)]
    largest = float(np.abs(finite).max(initial=0))
    decimals = 1 if largest < 100 else 0
    if largest < 10:  # two digits of small numbers, as far as a cell has room
        decimals = next((n for n in (2, 3) if largest >= 10.0 ** (1 - n) or not largest), 4)
    if largest > 1 and (finite == np.round(finite)).all():  # counts
        decimals = 0
    return [
        (i, j, heatmap.scale.number(float(value), decimals))
        for i, row in enumerate(heatmap.values)
        for j, value in enumerate(row)
        if heatmap.masked is None or not heatmap.masked[i, j]
    ]


def _number_size(heatmap: Heatmap, width: float, height: float) -> float:
    """Points in which the longest value fits into a cell of so many inches; 0 if it does not."""
    if max(heatmap.values.shape) > MAX_NUMBERS:
        return 0.0
    longest = max((width_of(text, SMALL) for _, _, text in _texts_of_cells(heatmap)), default=0.0)
    size = SMALL * min(1.0, (width - 0.03) / max(longest, 0.01), (height - 0.02) * 72 / SMALL / 1.1)
    return size if size >= SMALLEST_NUMBER else 0.0


SMALLEST_NUMBER = 4.5


def _write_numbers(axes: Axes, heatmap: Heatmap, colours: Array, size: float) -> None:
    for i, j, text in _texts_of_cells(heatmap):
        colour = ink(colours[i, j])
        axes.text(j, i, text, ha="center", va="center", fontsize=points(size), color=colour)


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


def mask_notes(heatmaps: Sequence[Heatmap], signs: bool = False) -> tuple[str, ...]:
    """What the colours mean that are not on the scale; with `signs`, which hatch is which."""
    notes = []
    reasons: dict[str, Hatch] = {}
    for heatmap in heatmaps:
        reasons |= heatmap.masked_by()
    if reasons:
        names = [f"{HATCHES[h].sign} {name}" if signs else name for name, h in reasons.items()]
        notes.append(say("grey: masked ({names})", names=", ".join(names)))
    if any(heatmap.is_broken() for heatmap in heatmaps):
        notes.append(say("purple: not a number"))
    return tuple(notes)


def map_notes(heatmap: Heatmap) -> tuple[str, ...]:
    """The reader's own colour map, by name."""
    name = own_map_name(heatmap.scale.kind)
    return () if name is None else (say("colours: {name}", name=name),)


def wrapped_notes(texts: Sequence[str], width: float) -> list[str]:
    return [line for text in texts for line in lines_of(text, max(width, MIN_NOTE_WIDTH), SMALL)]
