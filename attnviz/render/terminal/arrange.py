"""Overviews and matrices beside one another, with one legend for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from attnviz.render.terminal.grid import FEW_LINES, MOST_LINES, GridDrawing, draw_panels
from attnviz.render.terminal.heatmap import (
    NOTE_WIDTH,
    Layout,
    brief_width,
    caption_width,
    draw_fitted,
    fitted,
    reading,
    tight_width,
    titled,
)
from attnviz.render.terminal.legend import Reading, axes_text, legend
from attnviz.render.terminal.screen import Block, Row, Screen, segment
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Grid, Heatmap

GAP, WIDE_GAP = 2, 4
"""Columns between two blocks: at least, and where there is room."""

LEGEND_WIDTH = 26
"""Columns that a legend needs beside an overview."""

WIDE_ENOUGH = 20
"""Cells on a side that are enough of a picture, so that two can stand beside one another."""

Fitted = tuple[Heatmap, Layout]


class Shared(NamedTuple):
    """What stands once for all that is drawn."""

    readings: Sequence[Reading]
    axes: bool
    """Whether all have the same axes."""
    notes: tuple[str, ...]

    def rows(self, width: int, screen: Screen) -> list[Row]:
        return [
            *legend(self.readings, width, screen, self.axes),
            *notes(self.notes, width, screen),
        ]


def arrange(grids: Sequence[Grid], heatmaps: Sequence[Heatmap], screen: Screen) -> list[Row]:
    """Overviews, then matrices; all in one line where the screen is wide enough."""
    lines = _one_line(grids, heatmaps, screen) or _lines(grids, heatmaps, screen)
    rows: list[Row] = []
    for line in lines:
        rows += [[], *line] if rows else line
    return rows


def _one_line(
    grids: Sequence[Grid], heatmaps: Sequence[Heatmap], screen: Screen
) -> list[list[Row]] | None:
    """One overview and all matrices beside one another, with large cells and all the words where
    there is room, and with optional matrices if nothing suffers; None if they do not fit."""
    if len(grids) != 1 or not heatmaps:
        return None
    needed = [heatmap for heatmap in heatmaps if not heatmap.optional]
    wishes = [
        (chosen, words, lines)
        for chosen in (heatmaps, needed)
        for words in (caption_width, brief_width)
        for lines in (MOST_LINES, FEW_LINES)
    ]
    drawings: dict[int, GridDrawing] = {}  # drawing takes longer than all the rest
    for chosen, words, lines in wishes:
        if lines not in drawings:
            drawings[lines] = draw_panels(grids[0], screen, screen.width, lines=lines)
        drawing = drawings[lines]
        each = (screen.width - drawing.width - GAP * len(chosen)) // max(1, len(chosen))
        shown = _beside(chosen, screen, each)
        if not shown or any(words(heatmap, screen) > each for heatmap in chosen):
            continue
        if chosen is heatmaps and any(layout.compact for _, layout in shown):
            continue
        block = Block([*_title(grids[0], drawing.width, screen), *drawing.rows], drawing.width)
        shared = _shared([drawing], shown)
        blocks = [block, *_drawn(shown, each, shared, screen)]
        return [[*beside(blocks, screen), *shared.rows(screen.width, screen)]]
    return None


def _lines(grids: Sequence[Grid], heatmaps: Sequence[Heatmap], screen: Screen) -> list[list[Row]]:
    """Overviews beside one another, the legend beside the last one or below all, and below the
    overviews the matrices."""
    few = FEW_LINES if len(grids) == 1 else 0
    drawings = [draw_panels(grid, screen, screen.width, lines=few) for grid in grids]
    matrices = _matrix_lines([heatmap for heatmap in heatmaps if not heatmap.optional], screen)
    shared = _shared(drawings, [each for line, _ in matrices for each in line])
    lines, has_legend = _overviews(grids, drawings, shared, bool(matrices), screen)
    for line, room in matrices:
        lines.append(beside(_drawn(line, room, shared, screen), screen))
    if not has_legend:
        lines[-1] = [*lines[-1], *shared.rows(screen.width, screen)]
    return lines


def _overviews(
    grids: Sequence[Grid],
    drawings: Sequence[GridDrawing],
    shared: Shared,
    is_first: bool,
    screen: Screen,
) -> tuple[list[list[Row]], bool]:
    """Lines of overviews, and whether the legend stands beside: there is room for it beside one
    that `is_first` of more."""
    lines: list[list[Row]] = []
    pairs = list(zip(grids, drawings, strict=True))
    room = screen.width - sum(drawing.width + GAP for drawing in drawings)
    if is_first and len(pairs) == 1 and room >= LEGEND_WIDTH:
        grid, drawing = pairs[0]
        words = [*_title(grid, room, screen), *shared.rows(room, screen)]
        return [beside([Block(drawing.rows, drawing.width), Block(words, room)], screen)], True
    for line in _packed([max(d.width, len(g.title)) for g, d in pairs], screen.width):
        blocks = []
        for i in line:
            grid, drawing = pairs[i]
            title = _title(grid, screen.width, screen)
            width = max(drawing.width, *(row_width(row) for row in title))
            blocks.append(Block([*title, *drawing.rows], width))
        lines.append(beside(blocks, screen))
    return lines, False


def _matrix_lines(heatmaps: Sequence[Heatmap], screen: Screen) -> list[tuple[list[Fitted], int]]:
    """Matrices in lines, as many beside one another as lose nothing by it, and the columns that
    each has; those of a group together where they fit."""
    lines = []
    units = [list(unit) for _, unit in groupby(heatmaps, key=_Unit())]
    while units:
        for count in range(len(units), 0, -1):
            together = [heatmap for unit in units[:count] for heatmap in unit]
            room = (screen.width - GAP * (len(together) - 1)) // len(together)
            shown = _beside(together, screen, room)
            if shown is not None:
                break
        else:
            shown = _labelled_once(units[0], screen)
            count, room = 1, screen.width // len(shown) - GAP
            if len(shown) < len(units[0]):
                units[:1] = [[heatmap] for heatmap in units[0]]
                room = screen.width
        lines.append((shown, room))
        units = units[count:]
    return lines


def _labelled_once(heatmaps: Sequence[Heatmap], screen: Screen) -> list[Fitted]:
    """Matrices of the same rows in numbers, whose labels stand beside the first only; that one
    alone, if they do not fit even so."""
    first, *others = heatmaps
    room = screen.width - sum(GAP + tight_width(heatmap) for heatmap in others)
    if others and room > 0 and all(heatmap.rows == first.rows for heatmap in others):
        shown = [fitted(first, screen, room)]
        shown += [fitted(each, screen, tight_width(each), labelled=False) for each in others]
        if all(layout.mode == "numbers" and layout.width(each) <= room for each, layout in shown):
            return shown
    return [fitted(first, screen)]


class _Unit:
    """The key of `groupby` that keeps neighbours of one named group together."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, heatmap: Heatmap) -> str:
        self._number += 1
        return heatmap.group or f"\0{self._number}"


def _beside(heatmaps: Sequence[Heatmap], screen: Screen, room: int) -> list[Fitted] | None:
    """The layouts of heatmaps in `room` columns each; None if one would lose by it what the whole
    screen shows."""
    shown: list[Fitted] = []
    for heatmap in heatmaps:
        title = heatmap._replace(caption="")
        if room < min(screen.width, caption_width(title, screen)):
            return None
        small, layout = fitted(heatmap, screen, room)
        whole, best = fitted(heatmap, screen)
        same = layout.mode == best.mode and small.values.shape == whole.values.shape
        enough = min(WIDE_ENOUGH, *whole.values.shape)
        dense = layout.halves and best.mode != "numbers" and min(small.values.shape) >= enough
        if layout.width(small) > room or not (same or dense):
            return None
        shown.append((small, layout))
    return shown


def _drawn(shown: Sequence[Fitted], room: int, shared: Shared, screen: Screen) -> list[Block]:
    """Matrices that begin on the same line, below titles and sentences of one height."""
    heads, blocks = [], []
    for (heatmap, layout), width in zip(shown, _widths(shown, room, screen), strict=True):
        own = [note for note in heatmap.notes if note not in shared.notes]
        if not shared.axes:
            own.insert(0, axes_text(heatmap))
        heads.append(titled(heatmap, width, screen))
        bare = heatmap._replace(title="", heading="", caption="", brief="", notes=tuple(own))
        blocks.append(draw_fitted(bare, layout, width, screen, False))
    height = max(map(len, heads), default=0)
    drawn = []
    for head, block in zip(heads, blocks, strict=True):
        rows = [*head, *[[]] * (height - len(head)), *block.rows]
        drawn.append(Block(rows, max([block.width, *map(row_width, head)])))
    return drawn


def _widths(shown: Sequence[Fitted], room: int, screen: Screen) -> list[int]:
    """Columns for the words of each matrix: as many as its sentence takes, in full or in brief,
    if all of them fit; else the same for all."""
    total = room * len(shown)
    for words in (caption_width, brief_width):
        widths = [max(layout.width(heatmap), words(heatmap, screen)) for heatmap, layout in shown]
        if sum(widths) <= total:
            wider = [max(width, min(room, NOTE_WIDTH)) for width in widths]
            return wider if sum(wider) <= total else widths
    return [room] * len(shown)


def _shared(drawings: Sequence[GridDrawing], shown: Sequence[Fitted]) -> Shared:
    """What is the same of all, so that it is said once."""
    readings = [each for drawing in drawings for each in drawing.readings]
    readings += [reading(*each) for each in shown]
    axes = {(each.heatmap.rows.name, each.heatmap.columns.name) for each in readings}
    said = dict.fromkeys(note for drawing in drawings for note in drawing.notes)
    if len(shown) > 1:
        said |= dict.fromkeys(
            note for note in shown[0][0].notes if all(note in each.notes for each, _ in shown)
        )
    return Shared(readings, len(axes) == 1, tuple(said))


def _title(grid: Grid, width: int, screen: Screen) -> list[Row]:
    return heading(grid.title, screen._replace(width=width)) if grid.title else []


def _packed(widths: Iterable[int], available: int) -> list[list[int]]:
    """The numbers of blocks that fit beside one another, line by line."""
    lines: list[list[int]] = []
    used = 0
    for number, width in enumerate(widths):
        if not lines or used + GAP + width > available:
            lines.append([])
            used = -GAP
        lines[-1].append(number)
        used += GAP + width
    return lines


def beside(blocks: Sequence[Block], screen: Screen) -> list[Row]:
    """Blocks from left to right, further apart where there is room."""
    spare = screen.width - sum(block.width for block in blocks)
    gap = max(GAP, min(WIDE_GAP, spare // max(1, len(blocks) - 1)))
    rows = []
    for i in range(max(len(block.rows) for block in blocks)):
        row: Row = []
        start = 0
        for block in blocks:
            if i < len(block.rows) and block.rows[i]:
                row = [*row, segment(" " * (start - row_width(row))), *block.rows[i]]
            start += block.width + gap
        rows.append(row)
    return rows
