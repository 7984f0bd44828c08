"""A heatmap on a screen: numbers, else shades, else half blocks, else pooled; each step is said.

A Rich table would go blank where its columns do not fit; this grid never leaves one out silently.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from attnviz.language import say
from attnviz.render.line_breaking import MAX_PER_CELL
from attnviz.render.terminal.legend import Reading, legend
from attnviz.render.terminal.screen import (
    BROKEN_LEVEL,
    DIGITS,
    FALLING,
    MASKED_LEVEL,
    NOTHING_LEVEL,
    RISING,
    SHADES,
    Block,
    Row,
    Screen,
    cell_style,
    fit,
    half_cells,
    segment,
    style,
)
from attnviz.render.terminal.text import notes, row_width, wrap
from attnviz.views.kinds import Axis, Heatmap
from attnviz.views.pooling import pool

Mode = Literal["numbers", "shades", "dots"]

MAX_NUMBERS = 40
MAX_ROWS = 64
LABEL_WIDTH = 16
LOG_WIDTH = 9
MAX_CELL = 10
NOTE_WIDTH = 36
NUMBER_SIZE = 4
SMALL_CELL = 4
"""Columns of a cell of an overview without numbers."""
FEW = 8
"""Columns that leave room for more digits."""
PADDING = 2
"""Spaces in a cell beside its number, one on either side."""


class Layout(NamedTuple):
    """How a heatmap is drawn in a room of some width."""

    mode: Mode
    cell: int
    """Columns of the screen for each cell."""
    gutter: int
    """Columns of the screen for the row labels."""
    halves: bool = False
    """Two rows of cells in one line."""
    compact: bool = False
    """Numbers without the zero before the point: `.98`."""

    def width(self, heatmap: Heatmap) -> int:
        """Of labels and cells."""
        return self.gutter + 1 + self.cell * len(heatmap.columns)


def draw_heatmap(heatmap: Heatmap, screen: Screen, alone: bool = True) -> Block:
    """Title, column labels, rows, and what there is to say about them.

    Notes may fill the screen only below a heatmap that stands alone.
    """
    shown, layout = fitted(heatmap, screen)
    room = screen.width if alone else max(layout.width(shown), NOTE_WIDTH)
    return draw_fitted(shown, layout, room, screen)


def draw_fitted(
    heatmap: Heatmap, layout: Layout, room: int, screen: Screen, with_legend: bool = True
) -> Block:
    """A heatmap in its layout, with words of at most `room` cells."""
    levels = cell_levels(heatmap)
    rows = titled(heatmap, room, screen)
    rows += _column_labels(heatmap, layout, screen)
    step = 2 if layout.halves else 1
    for row in range(0, len(heatmap.rows), step):
        label = segment(
            _row_label(heatmap.rows, row, layout.gutter, screen), label_style(heatmap.rows, row)
        )
        rows.append([label, segment(" "), *draw_cells(heatmap, levels, row, layout, screen)])
    if with_legend:
        rows += legend([reading(heatmap, layout)], room, screen)
    rows += notes(heatmap.notes, room, screen)
    return Block(rows, max([layout.width(heatmap), *(row_width(row) for row in rows)]))


def reading(heatmap: Heatmap, layout: Layout) -> Reading:
    return Reading(heatmap, layout.mode == "numbers", layout.halves)


def titled(heatmap: Heatmap, room: int, screen: Screen) -> list[Row]:
    """The title with its sentence beside it, in fewer words or below it where it must."""
    title = heatmap.heading or heatmap.title
    if not title:
        return []
    bold = style(bold=True)
    for caption in (heatmap.caption, heatmap.brief):
        beside = [segment(f"{screen.text(title)} ", bold), segment(screen.text(caption))]
        if caption and row_width(beside) <= room:
            return [beside]
    rows = [[segment(line, bold)] for line in wrap(title, room, screen)]
    words = heatmap.brief or heatmap.caption
    return rows + ([[segment(line)] for line in wrap(words, room, screen)] if words else [])


def caption_width(heatmap: Heatmap, screen: Screen) -> int:
    """Of the title and its sentence on one line."""
    return cell_len(screen.text(f"{heatmap.heading or heatmap.title} {heatmap.caption}".strip()))


def brief_width(heatmap: Heatmap, screen: Screen) -> int:
    """Of the title and the fewest words."""
    return caption_width(heatmap._replace(caption=heatmap.brief or heatmap.caption), screen)


def fitted(
    heatmap: Heatmap, screen: Screen, room: int = 0, labelled: bool = True
) -> tuple[Heatmap, Layout]:
    """The most detailed layout that fits the room, by default the screen's width, with the
    heatmap pooled if need be; not `labelled`, without what its rows are called."""
    n_row, n_column = heatmap.values.shape
    gutter = _gutter(heatmap.rows, screen) if labelled else 0
    available = (room or screen.width) - gutter - 1
    halves = screen.paints and screen.unicode
    if heatmap.small and halves and n_column <= available and n_row <= 2 * MAX_ROWS:
        cell = min(SMALL_CELL, available // max(1, n_column))
        return heatmap, Layout("dots", cell, gutter, halves)
    tight, wide = _number_widths(heatmap)
    if n_column <= MAX_NUMBERS and n_column * tight <= available and n_row <= MAX_ROWS:
        widest = max((cell_len(screen.text(t)) for t in heatmap.columns.labels), default=0) + 1
        most = available // max(1, n_column)
        cell = max(tight, min(max(widest, wide), MAX_CELL, most))
        if cell < wide and not _is_share(heatmap):
            note = say("numbers with one decimal, for lack of room")
            heatmap = heatmap._replace(notes=(*heatmap.notes, note))
        return heatmap, Layout("numbers", cell, gutter, compact=cell < wide)
    if n_column * 2 <= available and n_row <= MAX_ROWS:
        return heatmap, Layout("shades", 2, gutter)
    most_rows = MAX_ROWS * (2 if halves else 1)
    columns, rows = -(-n_column // max(1, available)), -(-n_row // most_rows)
    if n_row == n_column:  # one step for both keeps the diagonal a diagonal
        columns = rows = max(columns, rows)
    pooled = pool(heatmap, rows, columns)
    wider = _gutter(pooled.rows, screen)
    if wider > gutter:  # the indices of pooled rows are longer: pool for what is left
        available -= wider - gutter
        columns = max(columns, -(-n_column // max(1, available)))
        rows = columns if n_row == n_column else rows
        pooled = pool(heatmap, rows, columns)
    return pooled, Layout("dots", 1, _gutter(pooled.rows, screen), halves)


def cell_levels(heatmap: Heatmap) -> list[list[float]]:
    """Each cell's level on its colour scale, see `screen.cell_colour`, in hundredths."""
    shades = heatmap.shades()
    if heatmap.scale.kind == "diverging":
        shades = shades + 10
    levels = np.round(shades, 2)
    masked = np.zeros(shades.shape, bool) if heatmap.masked is None else heatmap.masked != 0
    levels[np.isnan(shades)] = BROKEN_LEVEL
    levels[masked] = MASKED_LEVEL
    return [[float(level) for level in row] for row in levels]


def draw_cells(
    heatmap: Heatmap, levels: list[list[float]], row: int, layout: Layout, screen: Screen
) -> list[Segment]:
    if layout.halves:
        nothing = [NOTHING_LEVEL] * len(levels[row])
        lower = levels[row + 1] if row + 1 < len(levels) else nothing
        return [
            _widened(half_cells(above, below, screen), layout.cell)
            for above, below in zip(levels[row], lower, strict=True)
        ]
    cells = []
    for column, level in enumerate(levels[row]):
        text = _cell_text(heatmap, row, column, level, layout, screen)
        cells.append(segment(text, cell_style(level, screen, sign=layout.mode != "numbers")))
    return cells


def _widened(cell: Segment, columns: int) -> Segment:
    return cell if columns == 1 else segment(cell.text * columns, cell.style)


def _cell_text(
    heatmap: Heatmap, row: int, column: int, level: float, layout: Layout, screen: Screen
) -> str:
    if level == MASKED_LEVEL:
        assert heatmap.masked is not None
        sign = screen.hatch(heatmap.hatch(int(heatmap.masked[row, column])))
        margin = 1 if layout.cell > 2 else 0
        return f"{sign * max(1, layout.cell - PADDING):>{layout.cell - margin}}{' ' * margin}"
    value = float(heatmap.values[row, column])
    if layout.mode == "numbers":
        return _number(heatmap, value, layout.compact).rjust(layout.cell - 1) + " "
    if level == BROKEN_LEVEL:
        return "!" * layout.cell
    if screen.paints:
        return " " * layout.cell
    return shade_signs(level, screen) * layout.cell


def shade_signs(level: float, screen: Screen) -> str:
    """One sign for a level of the scale, where there are no colours."""
    if level > 5:
        share = level - 10
        signs = RISING if share > 0 else FALLING
        step = round(abs(share) * len(signs))
        return signs[step - 1] if step else "."
    if screen.unicode:
        return SHADES[min(int(level * len(SHADES)), len(SHADES) - 1)]
    return DIGITS[min(int(level * len(DIGITS)), len(DIGITS) - 1)]


def _decimals(heatmap: Heatmap) -> int:
    finite = heatmap.values[np.isfinite(heatmap.values)]
    largest = float(np.abs(finite).max(initial=0))
    whole = bool((finite == np.round(finite)).all()) and largest >= 2
    if 0 < largest < 0.01 or (0 < largest < 0.1 and len(heatmap.columns) <= FEW):
        return 3 if largest >= 0.01 else 4  # small numbers have two digits, as far as there is room
    return 0 if whole or largest >= 1000 else 1 if largest >= 100 else 2


def tight_width(heatmap: Heatmap) -> int:
    """Of the numbers alone, without what the rows are called."""
    return 1 + len(heatmap.columns) * _number_widths(heatmap)[0]


def _number(heatmap: Heatmap, value: float, compact: bool) -> str:
    """`0.98`; compact `.98`, or `-1.1` for `-1.07`."""
    if not compact or not np.isfinite(value):
        return heatmap.scale.number(value, _decimals(heatmap))
    if not _is_share(heatmap):
        return heatmap.scale.number(value, 1)
    text = heatmap.scale.number(value, _decimals(heatmap))
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return sign + (digits[1:] if digits.startswith("0.") else digits[:-1])


def _is_share(heatmap: Heatmap) -> bool:
    """Whether all numbers are 1 at most: they are understood without the zero before the point,
    and `1.0` is as long as `.98`."""
    return float(np.abs(heatmap.values[np.isfinite(heatmap.values)]).max(initial=0)) <= 1


def _number_widths(heatmap: Heatmap) -> tuple[int, int]:
    """Of a cell with its number: as narrow as it can be, and in full."""
    if heatmap.scale.by == "log":
        return LOG_WIDTH, LOG_WIDTH
    values = heatmap.values[np.isfinite(heatmap.values)]
    ends = (float(values.min(initial=0)), float(values.max(initial=0)))
    decimals = _decimals(heatmap)
    full = max(NUMBER_SIZE, *(len(heatmap.scale.number(end, decimals)) for end in ends))
    shorter = decimals == 2 and len(values) == heatmap.values.size
    return full + PADDING - shorter, full + PADDING


def _gutter(axis: Axis, screen: Screen) -> int:
    index = _index_width(axis)
    starts = (label[: MAX_PER_CELL * LABEL_WIDTH] for label in axis.labels)
    words = max((cell_len(screen.text(start)) for start in starts), default=0)
    return index + (1 + min(words, LABEL_WIDTH, max(4, screen.width // 5)) if words else 0)


def _index_width(axis: Axis) -> int:
    """Of the longest index: the last, or after pooling the one before it, `295-299` and `300`."""
    return max((len(axis.index(position)) for position in range(len(axis))[-2:]), default=1)


def _row_label(axis: Axis, row: int, gutter: int, screen: Screen) -> str:
    index = _index_width(axis)
    label = axis.labels[row]
    return fit(axis.index(row).rjust(index) + (f" {label}" if label else ""), gutter, screen)


def label_style(axis: Axis, position: int) -> Style | None:
    """Labels of special tokens are dimmed."""
    return style(dim=True) if axis.is_special(position) else None


def _column_labels(heatmap: Heatmap, layout: Layout, screen: Screen) -> list[Row]:
    axis, margin = heatmap.columns, " " * (layout.gutter + 1)
    if layout.mode == "numbers":
        numbers = "".join(axis.index(i).rjust(layout.cell - 1) + " " for i in range(len(axis)))
        lines: list[Row] = [[segment(margin + numbers.rstrip(), style(dim=True))]]
        if any(axis.labels):
            lines.append([segment(margin), *_cell_labels(axis, layout.cell, screen)])
        return lines
    return [[segment(margin + _ruler(axis, layout.cell), style(dim=True))]]


def _cell_labels(axis: Axis, cell: int, screen: Screen) -> list[Segment]:
    """Above its numbers each; one that fills its cell does so where the one before leaves a gap."""
    cells = []
    gap = True
    for position, label in enumerate(axis.labels):
        whole = gap and cell_len(screen.text(label[: MAX_PER_CELL * cell])) == cell
        text = fit(label, cell if whole else cell - 1, screen, right=True)
        cells.append(segment(text if whole else text + " ", label_style(axis, position)))
        gap = not whole
    return cells


def _ruler(axis: Axis, cell: int) -> str:
    """Indices of every so many columns, each above the first character of its column."""
    width = len(axis) * cell
    max_length = len(axis.index(len(axis) - axis.outside - 1).partition("-")[0]) + 1
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100) if s * cell >= max_length or s == 100)
    marks = [" "] * width
    beside = " ".join(axis.labels[len(axis) - axis.outside :])  # ends above its column
    free = width - len(beside) - bool(beside)
    for position in range(0, len(axis), step):
        index = axis.index(position).partition("-")[0]
        if position * cell + len(index) > free:  # a part of a number would be another
            break
        for offset, char in enumerate(index):
            if position * cell + offset < width:
                marks[position * cell + offset] = char
    return ("".join(marks)[: width - len(beside)] + beside).rstrip()
