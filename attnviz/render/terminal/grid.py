"""Many small heatmaps on a screen."""

from __future__ import annotations

from rich.cells import cell_len

from attnviz.render.terminal.heatmap import Layout, cell_levels, draw_cells, legend
from attnviz.render.terminal.screen import Block, Row, Screen, fit, segment, style
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Grid, Heatmap
from attnviz.views.pooling import pool

LARGEST = 32
SMALLEST = 8
"""Cells on a panel's side: at most, and how many it keeps before panels go onto another line."""


def draw_grid(grid: Grid, screen: Screen, smallest: int = SMALLEST) -> Block:
    """Rows of panels, each panel on the same scale; panels that do not fit go below, and so do
    those that would have fewer cells on a side than `smallest` and than they could have."""
    panels = grid.present()
    max_length = max((cell_len(screen.text(name)) for name in grid.row_names), default=0)
    gutter = min(max_length, screen.width // 2) + 1
    halves = screen.paints and screen.unicode
    cell, side = _panel_size(grid, screen.width - gutter, smallest)
    rows = heading(grid.title, screen)
    small = [[None if p is None else _shrunk(p, side) for p in row] for row in grid.panels]
    layout = Layout("dots", cell, gutter, halves and cell == 1)
    shown = [p for row in small for p in row if p is not None]
    names = max(cell_len(screen.text(name)) for name in grid.column_names)
    width = max(max(p.values.shape[1] for p in shown) * cell, names)
    width = min(width, screen.width - gutter - 1)
    per_line = max(1, (screen.width - gutter) // (width + 1))
    for start in range(0, len(grid.column_names), per_line):
        part = slice(start, start + per_line)
        heads = " ".join(fit(name, width, screen) for name in grid.column_names[part])
        rows.append([segment(" " * gutter + heads.rstrip(), style(dim=True))])
        for name, line in zip(grid.row_names, small, strict=True):
            rows += _line(name, line[part], width, gutter, layout, screen)
    axes = f"each panel: rows {panels[0].rows.name}, columns {panels[0].columns.name}"
    rows += notes((*grid.notes, axes, *shown[0].notes), screen.width, screen)
    rows += legend(shown, layout, screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def _panel_size(grid: Grid, available: int, smallest: int) -> tuple[int, int]:
    """Columns of the screen for each cell, and the most cells on a panel's side."""
    n_panel = max(1, len(grid.column_names))
    max_length = max(max(p.values.shape) for p in grid.present())
    if n_panel * (2 * max_length + 1) <= available:
        return 2, max_length
    side = available // n_panel - 1
    return 1, min(max_length, max(smallest, min(side, LARGEST)), max(1, available - 1))


def _shrunk(panel: Heatmap, side: int) -> Heatmap:
    n_row, n_column = panel.values.shape
    step = max(-(-n_row // side), -(-n_column // side))
    return pool(panel._replace(notes=()), min(step, n_row), min(step, n_column))


def _line(
    name: str,
    panels: list[Heatmap | None],
    width: int,
    gutter: int,
    layout: Layout,
    screen: Screen,
) -> list[Row]:
    height = max((len(p.rows) for p in panels if p is not None), default=0)
    levels = [None if p is None else cell_levels(p) for p in panels]
    lines: list[Row] = []
    for row in range(0, height, 2 if layout.halves else 1):
        line: Row = [segment(fit(name if row == 0 else "", gutter - 1, screen) + " ")]
        for panel, cells in zip(panels, levels, strict=True):
            drawn: Row = []
            if panel is not None and cells is not None and row < len(cells):
                drawn = draw_cells(panel, cells, row, layout, screen)
            line += [*drawn, segment(" " * (width + 1 - row_width(drawn)))]
        lines.append(line)
    return [*lines, []]
