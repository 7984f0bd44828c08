"""Views on a terminal: one column of blocks, heatmaps side by side where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from rich.color import ColorSystem

from attnviz.render.terminal.grid import draw_grid
from attnviz.render.terminal.heatmap import draw_heatmap
from attnviz.render.terminal.screen import Block, Row, Screen, segment
from attnviz.render.terminal.table import draw_table
from attnviz.render.terminal.text import draw_text, row_width
from attnviz.tokens import in_encoding
from attnviz.views.kinds import Curves, Grid, Heatmap, Links, Picture, Table, View

GAP = 3


def render(views: Sequence[View], screen: Screen) -> bytes:
    """The views as lines of text in UTF-8, in colour if the screen has colours; all characters are
    ones that the screen's encoding has."""
    lines: list[Row] = []
    for block in _flow(views, screen):
        if lines:
            lines.append([])
        lines += block.rows
    text = "\n".join(_line(row, screen) for row in lines)
    return (text if screen.unicode else in_encoding(text, screen.encoding)).encode() + b"\n"


def draw(view: View, screen: Screen, alone: bool = True) -> Block:
    """One view as lines; if it is not `alone`, without what its neighbours show already.

    What few outputs hold is imported when it is drawn, for a quick start.
    """
    if isinstance(view, Heatmap):
        return draw_heatmap(view, screen, alone)
    if isinstance(view, Grid):
        return draw_grid(view, screen)
    if isinstance(view, Links):
        from attnviz.render.terminal.links import draw_links

        return draw_links(view, screen)
    if isinstance(view, Picture):
        from attnviz.render.terminal.picture import draw_picture

        return draw_picture(view, screen, alone)
    if isinstance(view, Table):
        return draw_table(view, screen)
    if isinstance(view, Curves):
        from attnviz.render.terminal.curves import draw_curves

        return draw_curves(view, screen)
    return draw_text(view, screen)


def _flow(views: Sequence[View], screen: Screen) -> list[Block]:
    """Neighbouring heatmaps beside one another while the screen is wide enough; one that stays
    by itself may use the whole width for its notes."""
    flowed: list[Block] = []
    group: list[tuple[View, Block]] = []

    def flush() -> None:
        if len(group) == 1:
            flowed.append(draw(group[0][0], screen))
        elif group:
            flowed.append(reduce(_beside, (block for _, block in group)))
        group.clear()

    flows = [isinstance(view, Heatmap) for view in views]
    for i, view in enumerate(views):
        neighbours = flows[max(0, i - 1) : i + 2]
        if not flows[i] or sum(neighbours) == 1:
            flush()
            flowed.append(draw(view, screen, alone=not _shown_already(view, views[:i])))
            continue
        block = draw(view, screen, alone=False)
        used = sum(each.width + GAP for _, each in group)
        if used + block.width > screen.width:
            flush()
        group.append((view, block))
    flush()
    return flowed


def _shown_already(view: View, before: Sequence[View]) -> bool:
    """Whether the image of a picture stands above."""
    return isinstance(view, Picture) and any(
        isinstance(other, Picture) and other.image is view.image for other in before
    )


def _beside(left: Block, right: Block) -> Block:
    rows = []
    for i in range(max(len(left.rows), len(right.rows))):
        first = left.rows[i] if i < len(left.rows) else []
        second = right.rows[i] if i < len(right.rows) else []
        gap = segment(" " * (left.width + GAP - row_width(first)))
        rows.append([*first, gap, *second] if second else first)
    return Block(rows, left.width + GAP + right.width)


def _line(row: Row, screen: Screen) -> str:
    if not screen.depth:
        return "".join(part.text for part in row).rstrip()
    system = {16: ColorSystem.STANDARD, 256: ColorSystem.EIGHT_BIT}.get(
        screen.depth, ColorSystem.TRUECOLOR
    )
    return "".join(
        part.style.render(part.text, color_system=system) if part.style else part.text
        for part in _joined(row)
    )


def _joined(row: Row) -> Row:
    """Neighbours of one style as one segment: fewer escapes."""
    joined: Row = []
    for part in row:
        if joined and joined[-1].style == part.style:
            joined[-1] = segment(joined[-1].text + part.text, part.style)
        else:
            joined.append(part)
    return joined
