"""Many small heatmaps on a screen."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment

from attnviz.language import say
from attnviz.render.terminal.heatmap import Layout, cell_levels, draw_cells
from attnviz.render.terminal.legend import Reading, legend
from attnviz.render.terminal.screen import (
    NOTHING_LEVEL,
    Block,
    Row,
    Screen,
    fit,
    half_cells,
    segment,
    style,
)
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Grid, Heatmap
from attnviz.views.pooling import pool

LARGEST = 32
SMALLEST = 3
"""Cells on a panel's side: at most, and how many it keeps before panels go onto another line."""

MOST_LINES = 40
"""Of an overview, as far as its panels can shrink."""

FEW_LINES = 10
"""An overview that takes no more may have cells of two columns where half blocks would do."""

Levels = list[list[float]]


class GridDrawing(NamedTuple):
    """Panels with their names, and what there is to say of them."""

    rows: list[Row]
    width: int
    readings: list[Reading]
    notes: tuple[str, ...]


class _Size(NamedTuple):
    """Of the panels of a grid."""

    cell: int
    """Columns of the screen for each cell."""
    side: int
    """Cells at most."""
    per_line: int
    """Panels beside one another."""


def draw_grid(grid: Grid, screen: Screen, smallest: int = SMALLEST) -> Block:
    """Rows of panels, each panel on the same scale; panels that do not fit go below, and so do
    those that would have fewer cells on a side than `smallest` and than they could have."""
    drawing = draw_panels(grid, screen, screen.width, smallest)
    rows = [*heading(grid.title, screen), *drawing.rows]
    rows += legend(drawing.readings, screen.width, screen)
    rows += notes(drawing.notes, screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def draw_panels(
    grid: Grid, screen: Screen, room: int, smallest: int = SMALLEST, lines: int = FEW_LINES
) -> GridDrawing:
    """The panels within `room` columns; with cells of two columns, where half blocks would do, if
    that takes no more than so many `lines`."""
    max_length = max((cell_len(screen.text(name)) for name in grid.row_names), default=0)
    gutter = min(max_length, screen.width // 2) + 1
    halves = screen.paints and screen.unicode
    size = _panel_size(grid, room - gutter, smallest, halves, lines)
    small = [[None if p is None else _shrunk(p, size.side) for p in row] for row in grid.panels]
    layout = Layout("dots", size.cell, gutter, halves and size.cell == 1)
    shown = [p for row in small for p in row if p is not None]
    names = max(cell_len(screen.text(name)) for name in grid.column_names)
    width = max(max(p.values.shape[1] for p in shown) * size.cell, names)
    width = min(width, room - gutter - 1)
    per_line = min(size.per_line, max(1, (room - gutter + 1) // (width + 1)))
    rows: list[Row] = []
    for start in range(0, len(grid.column_names), per_line):
        part = slice(start, start + per_line)
        heads = " ".join(fit(name, width, screen) for name in grid.column_names[part])
        rows += [[]] if start else []
        rows.append([segment(" " * gutter + heads.rstrip(), style(dim=True))])
        panels = [line[part] for line in small]
        draw = _half_lines if layout.halves else _lines
        rows += draw(grid.row_names, panels, width, layout, screen)
    readings = [Reading(panel, False, layout.halves) for panel in shown]
    total = gutter + (width + 1) * min(per_line, len(grid.column_names)) - 1
    return GridDrawing(rows, total, readings, (*grid.notes, *_pooled(shown)))


def _pooled(shown: list[Heatmap]) -> tuple[str, ...]:
    """How cells were put together, of panels that share it."""
    return tuple(say("overview: {note}", note=note) for note in shown[0].notes)


def _panel_size(grid: Grid, available: int, smallest: int, halves: bool, few: int) -> _Size:
    """The largest panels that the width has, and a number of lines that one can survey."""
    n_panel, n_layer = max(1, len(grid.column_names)), max(1, len(grid.row_names))
    longest = max(max(p.values.shape) for p in grid.present())
    smallest = min(smallest, longest)
    most = MOST_LINES if halves else 2 * MOST_LINES
    lines = n_layer * (longest + 1)
    if n_panel * (2 * longest + 1) - 1 <= available and lines <= (few if halves else most):
        return _Size(2, longest, n_panel)
    per_line = max(1, (available + 1) // (smallest + 1))
    n_line = -(-n_panel // per_line)
    per_line = -(-n_panel // n_line)
    high = most // (n_layer * n_line)
    side = min((available + 1) // per_line - 1, (2 * high if halves else high) - 1, LARGEST)
    return _Size(1, max(1, min(longest, max(smallest, side), available)), per_line)


def _shrunk(panel: Heatmap, side: int) -> Heatmap:
    n_row, n_column = panel.values.shape
    step = max(-(-n_row // side), -(-n_column // side))
    return pool(panel._replace(notes=()), min(step, n_row), min(step, n_column))


def _lines(
    names: tuple[str, ...],
    panels: list[list[Heatmap | None]],
    width: int,
    layout: Layout,
    screen: Screen,
) -> list[Row]:
    """A line for each row of cells, an empty one between two rows of panels."""
    lines: list[Row] = []
    for name, across in zip(names, panels, strict=True):
        lines += [[]] if lines else []
        levels = [None if p is None else cell_levels(p) for p in across]
        for row in range(max((len(p.rows) for p in across if p is not None), default=0)):
            line: Row = [_name(name if row == 0 else "", layout, screen)]
            for panel, cells in zip(across, levels, strict=True):
                drawn: Row = []
                if panel is not None and cells is not None and row < len(cells):
                    drawn = draw_cells(panel, cells, row, layout, screen)
                line += [*drawn, segment(" " * (width + 1 - row_width(drawn)))]
            lines.append(line[:-1])
    return lines


def _half_lines(
    names: tuple[str, ...],
    panels: list[list[Heatmap | None]],
    width: int,
    layout: Layout,
    screen: Screen,
) -> list[Row]:
    """Two rows of cells in a line, and half a line between two rows of panels."""
    nothing = [NOTHING_LEVEL] * width
    columns: list[Levels] = [[] for _ in panels[0]]
    starts = {}
    for name, across in zip(names, panels, strict=True):
        height = max((len(p.rows) for p in across if p is not None), default=0)
        starts[len(columns[0]) // 2] = name
        for column, panel in zip(columns, across, strict=True):
            cells = [] if panel is None else [_wide(row, width) for row in cell_levels(panel)]
            column += [*cells, *[nothing] * (height - len(cells) + 1)]
    lines: list[Row] = []
    for number, start in enumerate(range(0, len(columns[0]) - 1, 2)):
        line: Row = [_name(starts.get(number, ""), layout, screen)]
        for column in columns:
            below = column[start + 1] if start + 1 < len(column) else nothing
            line += [
                half_cells(above, lower, screen)
                for above, lower in zip(column[start], below, strict=True)
            ]
            line.append(segment(" "))
        lines.append(line[:-1])
    return lines


def _wide(levels: list[float], width: int) -> list[float]:
    return levels + [NOTHING_LEVEL] * (width - len(levels))


def _name(name: str, layout: Layout, screen: Screen) -> Segment:
    return segment(fit(name, layout.gutter - 1, screen) + " ", style(dim=True))
