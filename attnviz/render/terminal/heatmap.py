"""A heatmap on a screen: numbers, else shades, else half blocks, else pooled; each step is said.

A Rich table would go blank where its columns do not fit; this grid never leaves one out silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from attnviz.nn.masks import Hatch
from attnviz.render.line_breaking import MAX_PER_CELL
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
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Axis, Heatmap, Scale
from attnviz.views.numbers import short
from attnviz.views.pooling import pool

Mode = Literal["numbers", "shades", "dots"]

MAX_NUMBERS = 40
MAX_ROWS = 64
LABEL_WIDTH = 16
NUMBER_WIDTH = 5
LOG_WIDTH = 8
MAX_CELL = 10
NOTE_WIDTH = 36
BAR = 12


class Layout(NamedTuple):
    """How a heatmap is drawn on a screen of some width."""

    mode: Mode
    cell: int
    """Columns of the screen for each cell."""
    gutter: int
    """Columns of the screen for the row labels."""
    halves: bool = False
    """Two rows of cells in one line."""


def draw_heatmap(heatmap: Heatmap, screen: Screen, alone: bool = True) -> Block:
    """Title, column labels, rows, and what there is to say about them.

    Notes may fill the screen only below a heatmap that stands alone.
    """
    heatmap, layout = fitted(heatmap, screen)
    levels = cell_levels(heatmap)
    rows = heading(heatmap.title, screen)
    rows += _column_labels(heatmap, layout, screen)
    step = 2 if layout.halves else 1
    for row in range(0, len(heatmap.rows), step):
        label = segment(
            _row_label(heatmap.rows, row, layout.gutter, screen), label_style(heatmap.rows, row)
        )
        rows.append([label, segment(" "), *draw_cells(heatmap, levels, row, layout, screen)])
    width = layout.gutter + 1 + layout.cell * len(heatmap.columns)
    available = screen.width if alone else max(width, NOTE_WIDTH)
    axes = f"rows: {heatmap.rows.name}, columns: {heatmap.columns.name}"
    rows += notes((axes, *heatmap.notes), available, screen)
    rows += legend([heatmap], layout, available, screen)
    return Block(rows, max([width, *(row_width(row) for row in rows)]))


def fitted(heatmap: Heatmap, screen: Screen) -> tuple[Heatmap, Layout]:
    """The most detailed layout that fits the screen, with the heatmap pooled if need be."""
    n_row, n_column = heatmap.values.shape
    gutter = _gutter(heatmap.rows, screen)
    available = screen.width - gutter - 1
    number = _number_width(heatmap)
    if n_column <= MAX_NUMBERS and n_column * number <= available and n_row <= MAX_ROWS:
        widest = max((cell_len(screen.text(t)) for t in heatmap.columns.labels), default=0) + 1
        cell = max(number, min(widest, MAX_CELL, available // max(1, n_column)))
        return heatmap, Layout("numbers", cell, gutter)
    if n_column * 2 <= available and n_row <= MAX_ROWS:
        return heatmap, Layout("shades", 2, gutter)
    halves = screen.paints and screen.unicode
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
            half_cells(above, below, screen)
            for above, below in zip(levels[row], lower, strict=True)
        ]
    cells = []
    for column, level in enumerate(levels[row]):
        text = _cell_text(heatmap, row, column, level, layout, screen)
        cells.append(segment(text, cell_style(level, screen, sign=layout.mode != "numbers")))
    return cells


def _cell_text(
    heatmap: Heatmap, row: int, column: int, level: float, layout: Layout, screen: Screen
) -> str:
    if level == MASKED_LEVEL:
        assert heatmap.masked is not None
        sign = screen.hatch(heatmap.hatch(int(heatmap.masked[row, column])))
        return (sign * max(1, layout.cell - 1)).rjust(layout.cell)
    value = float(heatmap.values[row, column])
    if layout.mode == "numbers":
        return heatmap.scale.number(value, _decimals(heatmap)).rjust(layout.cell)
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
    return 0 if whole or largest >= 1000 else 1 if largest >= 100 else 2


def _number_width(heatmap: Heatmap) -> int:
    decimals = _decimals(heatmap)
    if heatmap.scale.by == "log":
        return LOG_WIDTH
    values = heatmap.values[np.isfinite(heatmap.values)]
    ends = (float(values.min(initial=0)), float(values.max(initial=0)))
    max_length = max(len(heatmap.scale.number(end, decimals)) for end in ends)
    return max(NUMBER_WIDTH, max_length + 1)


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
        numbers = "".join(axis.index(i).rjust(layout.cell) for i in range(len(axis)))
        lines: list[Row] = [[segment(margin + numbers, style(dim=True))]]
        if any(axis.labels):
            cells = [
                segment(" " + fit(label, layout.cell - 1, screen, right=True), label_style(axis, i))
                for i, label in enumerate(axis.labels)
            ]
            lines.append([segment(margin), *cells])
        return lines
    return [[segment(margin + _ruler(axis, layout.cell), style(dim=True))]]


def _ruler(axis: Axis, cell: int) -> str:
    """Indices of every so many columns, each above the first character of its column."""
    width = len(axis) * cell
    max_length = len(axis.index(len(axis) - 1).partition("-")[0]) + 1
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100) if s * cell >= max_length or s == 100)
    marks = [" "] * width
    for position in range(0, len(axis), step):
        for offset, char in enumerate(axis.index(position).partition("-")[0]):
            if position * cell + offset < width:
                marks[position * cell + offset] = char
    return "".join(marks).rstrip()


def legend(heatmaps: Sequence[Heatmap], layout: Layout, width: int, screen: Screen) -> list[Row]:
    """The one scale of all, and the signs that the drawings used."""
    scale = heatmaps[0].scale
    rows: list[Row] = []
    texts = []
    if screen.paints:
        rows.append(_colour_bar(scale, screen))
    elif layout.mode != "numbers":
        texts = [scale.text, _signs(scale, screen)]
    reasons: dict[str, Hatch] = {}
    for heatmap in heatmaps:
        reasons |= heatmap.masked_by()
    names: dict[str, list[str]] = {}
    for name, hatch in reasons.items():
        names.setdefault("grey:" if layout.halves else screen.hatch(hatch), []).append(name)
    texts += [f"{sign} masked ({', '.join(alike)})" for sign, alike in names.items()]
    if layout.mode != "numbers" and any(heatmap.is_broken() for heatmap in heatmaps):
        texts.append("! not a number" if not layout.halves else "purple: not a number")
    return rows + notes(texts, width, screen)


def _colour_bar(scale: Scale, screen: Screen) -> Row:
    """The ends of the scale with the colours between them."""
    low, high, what = scale.ends
    first = 9.0 if scale.kind == "diverging" else 0.0
    span = 2.0 if scale.kind == "diverging" else 1.0
    steps = [round(first + span * i / (BAR - 1), 2) for i in range(BAR)]
    dim = style(dim=True)
    bar = [segment(" ", cell_style(step, screen)) for step in steps]
    tail = f" {high}" + (f" ({what})" if what else "")
    return [segment(f"{screen.text(low)} ", dim), *bar, segment(screen.text(tail), dim)]


def _signs(scale: Scale, screen: Screen) -> str:
    if scale.kind == "diverging":
        return f"signs: {RISING} above zero, {FALLING} below, . near it"
    signs = SHADES if screen.unicode else DIGITS
    if not screen.unicode:
        return "signs: tenths of the scale, 9 up to its end"
    steps = [f"{sign} under {short((i + 1) / len(signs))}" for i, sign in enumerate(signs[:-1])]
    return f"signs, in shares of the scale: {', '.join(steps)}, {signs[-1]} above"
