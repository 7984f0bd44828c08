"""Many small heatmaps in a figure, on one pair of axes: a hundred would take longer to draw than
to look at."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.render.figure.bar import BAR_SPACE, colour_bar
from attnviz.render.figure.boxes import Box, Page, Room, left_to_right
from attnviz.render.figure.colours import pixels, token_colour
from attnviz.render.figure.heatmap import (
    HEAD,
    LARGEST,
    LINE,
    LOWEST_ROW,
    PAD,
    SMALLEST_SIDE,
    map_notes,
    mask_notes,
    wrapped_notes,
)
from attnviz.render.figure.labels import Labels, notes_on, row_labels
from attnviz.render.figure.text_layout import (
    SMALL,
    TEXT,
    TITLE,
    on_page,
    points,
    title_lines,
    title_width,
    width_of,
)
from attnviz.render.style import PLAIN, FigureStyle
from attnviz.views.kinds import Axis, Grid, Heatmap
from attnviz.views.pooling import pool, pooling_notes, steps_within

GAP = 0.09
WIDTH = 9.4
"""Inches that all panels take at most, where they are many."""
FEW, SMALL_PANEL, PANEL, LARGEST_PANEL = 6, 0.62, 1.1, 1.9
FOR_A_LABEL = 0.13
DEEPEST, DEEPEST_OF_ROOM = 1.6, 0.9
"""Inches that labels take at most, and where the size of the figure is given."""
MAX_CELLS = 144
"""Along the side of a panel."""
NAME = 0.18


class Panel(NamedTuple):
    """One heatmap at its place among the rows and columns."""

    heatmap: Heatmap
    row: int
    column: int
    name: str = ""


class Plan(NamedTuple):
    """Where everything stands, in inches from the upper left corner of the panels."""

    panels: list[Panel]
    n_row: int
    n_column: int
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    cell: tuple[float, float]
    """Width and height."""
    rows: Labels | None
    columns: Labels | None
    gap: float
    """Between one row of panels and the next."""

    @property
    def panel(self) -> tuple[float, float]:
        n_row, n_column = _shape(self.panels)
        return n_column * self.cell[0], n_row * self.cell[1]

    @property
    def width(self) -> float:
        return self.n_column * (self.panel[0] + GAP) - GAP

    @property
    def height(self) -> float:
        return self.n_row * (self.panel[1] + self.gap) - self.gap

    @property
    def names_width(self) -> float:
        return max((width_of(name) for name in self.row_names), default=0.0)

    @property
    def left(self) -> float:
        """Room for what stands at the left of the panels."""
        labels = self.rows.depth + 0.06 if self.rows else 0.0
        return PAD + labels + (self.names_width + 0.08 if self.names_width else 0.0)

    @property
    def above(self) -> float:
        labels = self.columns.depth + 0.05 if self.columns else 0.0
        named = any(self.column_names) or any(panel.name for panel in self.panels)
        return labels + (NAME if named else 0.0)

    def corner(self, row: int, column: int) -> tuple[float, float]:
        width, height = self.panel
        return column * (width + GAP), row * (height + self.gap)


def grid_box(grid: Grid, style: FigureStyle = PLAIN, room: Room | None = None) -> Box:
    """Title, names, labels of tokens, panels, colour bar, notes."""
    bar = not style.bare
    beside = BAR_SPACE if bar else PAD
    plan = plan_grid(grid, style)
    if room is not None:
        plan = _in_room(plan, grid, style, room)
    title_room = min(title_width(grid.title), LARGEST) if grid.title else 0.0
    total = max(plan.left + plan.width + beside, title_room) if room is None else room.width
    title = title_lines(grid.title, total) if grid.title else []
    top = HEAD + LINE * (len(title) - 1) if title else 0.0
    notes, said = _notes(plan, grid, total, style)
    above = top + plan.above
    scale = plan.panels[0].heatmap.scale
    bar_height = min(max(plan.height, 0.9), 2)
    height = max(plan.height, 0.9 if bar else 0)

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, "\n".join(title), fontsize=TITLE, weight="bold")
        axes = page.axes(x + plan.left, y + above, plan.width, plan.height)
        draw_grid(axes, plan)
        if bar:
            at = x + plan.left + plan.width + 0.1
            colour_bar(page, at, y + above, bar_height, scale)
        for number, line in enumerate(notes):
            below = y + above + height + 0.06 + LINE * number
            page.text(x, below, line, fontsize=SMALL, color="0.35")

    end = above + height + (0.08 + LINE * len(notes) if notes else PAD)
    return Box(total, end, draw, said=said)


def plan_grid(
    grid: Grid, style: FigureStyle, width: float | None = None, height: float | None = None
) -> Plan:
    """The panels at their places, as large as they need, or so that they fill width × height."""
    panels, row_names, column_names = _arranged(grid, style.grid)
    steps = steps_within(_shape(panels), MAX_CELLS)
    panels = [panel._replace(heatmap=_pooled(panel.heatmap, *steps)) for panel in panels]
    n_row = 1 + max(panel.row for panel in panels)
    n_column = 1 + max(panel.column for panel in panels)
    if style.grid is not None:
        n_row, n_column = style.grid
    named = any(panel.name for panel in panels)
    gap = NAME + 0.02 if named else GAP
    cells = _shape(panels)
    if width is None:
        side = _side(n_column, max(cells))
        square = side / max(cells)
        cell = (square, max(square, min(LOWEST_ROW, side / 4 / cells[0])))
    else:
        across = ((width + GAP) / n_column - GAP) / cells[1]
        down = across if height is None else ((height + gap) / n_row - gap) / cells[0]
        cell = (across, down)
    deepest = DEEPEST if width is None else DEEPEST_OF_ROOM
    rows, columns = _labels(panels, cell, deepest)
    return Plan(panels, n_row, n_column, row_names, column_names, cell, rows, columns, gap)


def _in_room(plan: Plan, grid: Grid, style: FigureStyle, room: Room) -> Plan:
    """The panels in a figure of that size."""
    beside = PAD if style.bare else BAR_SPACE
    for _ in range(2):  # labels depend on the cells, and the cells on the room the labels leave
        width = room.width - plan.left - beside
        notes, _said = _notes(plan, grid, room.width, style)
        lines = title_lines(grid.title, room.width) if grid.title else []
        top = HEAD + LINE * (len(lines) - 1) if lines else 0.0
        height = None
        if room.height is not None:
            below = 0.08 + LINE * len(notes) if notes else PAD
            height = room.height - top - plan.above - below
        if width < SMALLEST_SIDE or (height is not None and height < SMALLEST_SIDE):
            break
        plan = plan_grid(grid, style, width, height)
        if min(plan.panel) < 0.1:
            break
    else:
        return plan
    raise AttnvizError(
        f"--size: there is no room for {plan.n_row} × {plan.n_column} panels and their labels",
        "a larger --size, another --grid, a smaller --font-size, or fewer heads: -s L0",
    )


def _side(n_column: int, n_cell: int) -> float:
    """Of a panel, so that the labels of its tokens have room, and the figure does on a page."""
    wanted = max(PANEL if n_column <= FEW else SMALL_PANEL, FOR_A_LABEL * n_cell)
    return max(SMALL_PANEL, min(wanted, LARGEST_PANEL, WIDTH / n_column - GAP))


def _arranged(
    grid: Grid, shape: tuple[int, int] | None
) -> tuple[list[Panel], tuple[str, ...], tuple[str, ...]]:
    """The panels in their rows and columns; in the reader's, each with its name above it."""
    found = [
        Panel(panel, i, j)
        for i, row in enumerate(grid.panels)
        for j, panel in enumerate(row)
        if panel is not None
    ]
    if shape is None:
        return found, grid.row_names, grid.column_names
    n_row, n_column = shape
    if len(found) > n_row * n_column:
        raise AttnvizError(
            f"--grid {n_row}x{n_column} has no room for {len(found)} panels",
            f"--grid {-(-len(found) // n_column)}x{n_column}, or fewer heads: -s L0",
        )
    placed = [
        Panel(
            panel.heatmap,
            number // n_column,
            number % n_column,
            ".".join(filter(None, (grid.row_names[panel.row], grid.column_names[panel.column]))),
        )
        for number, panel in enumerate(found)
    ]
    return placed, (), ()


def _labels(
    panels: list[Panel], cell: tuple[float, float], deepest: float
) -> tuple[Labels | None, Labels | None]:
    """The tokens at the left and on top, where all panels have the same."""
    found: list[Labels | None] = []
    for axes, size in (
        ([panel.heatmap.rows for panel in panels], cell[1]),
        ([panel.heatmap.columns for panel in panels], cell[0]),
    ):
        first: Axis = axes[0]
        shared = all(axis.labels == first.labels for axis in axes) and any(first.labels)
        found.append(row_labels(first, size, deepest, bare=True) if shared else None)
    rows, columns = found
    return rows, columns and columns._replace(turned=True)


def _notes(
    plan: Plan, grid: Grid, width: float, style: FigureStyle
) -> tuple[list[str], tuple[str, ...]]:
    """What stands below; where nothing does, what has to be said elsewhere."""
    notes = grid_notes(plan, grid, style)
    return ([], notes) if style.bare else (wrapped_notes(notes, width), ())


def grid_notes(plan: Plan, grid: Grid, style: FigureStyle) -> tuple[str, ...]:
    """All that has to be known; of bare panels what they lack."""
    first = plan.panels[0].heatmap
    lacking = notes_on(*(labels for labels in (plan.rows, plan.columns) if labels))
    if style.bare:
        return (*lacking, *first.notes)
    axes_note = say(
        "each panel: rows {rows}, columns {columns}",
        rows=first.rows.name,
        columns=first.columns.name,
    )
    masks = mask_notes([panel.heatmap for panel in plan.panels])
    return (*grid.notes, axes_note, *first.notes, *masks, *lacking, *map_notes(first))


def draw_grid(axes: Axes, plan: Plan) -> None:
    """All panels, in inches from their upper left corner, and what stands around them."""
    width, height = plan.width, plan.height
    frames = []
    for panel in plan.panels:
        x, y = plan.corner(panel.row, panel.column)
        n_row, n_column = panel.heatmap.values.shape
        frames.append(Rectangle((x, y), n_column * plan.cell[0], n_row * plan.cell[1]))
        if panel.name:
            place = y - 0.04 - (_top_labels(plan) if panel.row == 0 else 0)
            _write(axes, x, place, panel.name, va="bottom")
    _draw_cells(axes, plan)
    outline = PatchCollection(frames, facecolor="none", edgecolor="0.6", linewidth=0.5)
    axes.add_collection(outline).set_clip_on(False)
    _name(axes, plan)
    _label_tokens(axes, plan)
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def _draw_cells(axes: Axes, plan: Plan) -> None:
    """The cells of all panels as one picture with nothing between them; each panel's cells as one
    where a format takes cells rather than pixels."""
    if rcParams["image.interpolation"] == "none":
        for panel in plan.panels:
            x, y = plan.corner(panel.row, panel.column)
            n_row, n_column = panel.heatmap.values.shape
            extent = (x, x + n_column * plan.cell[0], y + n_row * plan.cell[1], y)
            axes.imshow(pixels(panel.heatmap), aspect="auto", extent=extent)
        return
    n_row, n_column = _shape(plan.panels)
    cells = np.zeros((plan.n_row, n_row + 1, plan.n_column, n_column + 1, 4), np.uint8)
    for panel in plan.panels:
        colours = pixels(panel.heatmap)
        cells[panel.row, : len(colours), panel.column, : colours.shape[1]] = colours
    joined = cells.reshape(plan.n_row * (n_row + 1), plan.n_column * (n_column + 1), 4)
    axes.pcolorfast(
        _edges(plan.n_column, n_column, plan.cell[0], GAP),
        _edges(plan.n_row, n_row, plan.cell[1], plan.gap),
        joined[:-1, :-1],
    )


def _edges(n_panel: int, n_cell: int, cell: float, gap: float) -> Array:
    """Where cells begin, and the gaps after each panel's; and where the last one ends."""
    starts = np.arange(n_panel) * (n_cell * cell + gap)
    return np.asarray(starts[:, None] + cell * np.arange(n_cell + 1)).ravel()


def _top_labels(plan: Plan) -> float:
    return plan.columns.depth + 0.05 if plan.columns else 0.0


def _name(axes: Axes, plan: Plan) -> None:
    side = plan.panel
    for number, name in enumerate(plan.column_names):
        x, _ = plan.corner(0, number)
        _write(axes, x + side[0] / 2, -0.04 - _top_labels(plan), name, ha="center", va="bottom")
    labels = plan.rows.depth + 0.06 if plan.rows else 0.0
    for number, name in enumerate(plan.row_names):
        _, y = plan.corner(number, 0)
        _write(axes, -labels - 0.08, y + side[1] / 2, name, ha="right", va="center")


def _label_tokens(axes: Axes, plan: Plan) -> None:
    """At the left of the first panel of each row, above the first of each column."""
    first = plan.panels[0].heatmap
    for labels, axis, across in (
        (plan.rows, first.rows, False),
        (plan.columns, first.columns, True),
    ):
        if labels is None:
            continue
        for number in range(plan.n_column if across else plan.n_row):
            x, y = plan.corner(0, number) if across else plan.corner(number, 0)
            if not any((panel.column if across else panel.row) == number for panel in plan.panels):
                continue
            for place in labels.places:
                at = (place + 0.5) * plan.cell[0 if across else 1]
                _write(
                    axes,
                    x + at if across else -0.04,
                    -0.04 if across else y + at,
                    labels.texts[place],
                    size=labels.points,
                    color=on_page(token_colour(axis, place)),
                    rotation=90 if across else 0,
                    ha="center" if across else "right",
                    va="bottom" if across else "center_baseline",
                )


def _write(axes: Axes, x: float, y: float, text: str, size: float = TEXT, **style: Any) -> None:
    chosen = {"ha": "left", "color": on_page("black"), **style}
    axes.text(x, y, left_to_right(text), fontsize=points(size), **chosen)


def _shape(panels: list[Panel]) -> tuple[int, int]:
    """The rows and columns of the largest panel."""
    return (
        max(panel.heatmap.values.shape[0] for panel in panels),
        max(panel.heatmap.values.shape[1] for panel in panels),
    )


def _pooled(panel: Heatmap, rows: int, columns: int) -> Heatmap:
    """With fewer cells, and of the notes only how these were put together."""
    n_row, n_column = panel.values.shape
    smaller = pool(panel, min(rows, n_row), min(columns, n_column))
    return smaller._replace(notes=pooling_notes(smaller))
