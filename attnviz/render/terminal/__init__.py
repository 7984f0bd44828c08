"""Views on a terminal: one column of blocks, heatmaps side by side where they fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.color import ColorSystem

from attnviz.render.terminal.arrange import arrange
from attnviz.render.terminal.grid import draw_grid
from attnviz.render.terminal.heatmap import draw_heatmap
from attnviz.render.terminal.screen import Block, Row, Screen, segment
from attnviz.render.terminal.table import draw_table
from attnviz.render.terminal.text import draw_text
from attnviz.tokens import in_encoding
from attnviz.views.kinds import Curves, Grid, Heatmap, Links, Picture, Scale, Table, View


def render(views: Sequence[View], screen: Screen) -> bytes:
    """The views as lines of text in UTF-8, in colour if the screen has colours; all characters are
    ones that the screen's encoding has."""
    lines: list[Row] = []
    for rows in _flow(views, screen):
        lines += [[], *rows] if lines else rows
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


def _flow(views: Sequence[View], screen: Screen) -> Iterator[list[Row]]:
    """The lines of each view; overviews and matrices that follow one another stand beside one
    another where the screen is wide enough, and share a legend."""
    number = 0
    while number < len(views):
        group = _group(views[number:])
        if group.size and (group.size > 1 or group.grids):
            yield arrange(group.grids, group.heatmaps, screen)
            number += group.size
            continue
        view = views[number]
        yield draw(view, screen, alone=not _shown_already(view, views[:number])).rows
        number += 1


class _Group(NamedTuple):
    """Overviews, and the matrices after them."""

    grids: list[Grid]
    heatmaps: list[Heatmap]

    @property
    def size(self) -> int:
        return len(self.grids) + len(self.heatmaps)


def _group(views: Sequence[View]) -> _Group:
    """What can be arranged together of the first views: as long as each scale has a name, if
    there are several."""
    group = _Group([], [])
    scales: dict[Scale, str] = {}
    for view in views:
        if isinstance(view, Grid) and not group.heatmaps:
            first = view.present()[0]
        elif isinstance(view, Heatmap):
            first = view
        else:
            break
        known = {**scales, first.scale: first.what}
        names = list(known.values())
        if len(known) > 1 and ("" in names or len(set(names)) < len(names)):
            break
        scales = known
        if isinstance(view, Grid):
            group.grids.append(view)
        else:
            group.heatmaps.append(view)
    return group


def _shown_already(view: View, before: Sequence[View]) -> bool:
    """Whether the image of a picture stands above."""
    return isinstance(view, Picture) and any(
        isinstance(other, Picture) and other.image is view.image for other in before
    )


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
