"""Figures, through Matplotlib's object interface: no state that outlives one."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from matplotlib import rcParams
from matplotlib.figure import Figure

from attnviz.errors import AttnvizError
from attnviz.render.figure.boxes import GAP, MARGIN, Box, Page, Room, lay_out
from attnviz.render.figure.canvas import Canvas
from attnviz.render.figure.curves import curves_box
from attnviz.render.figure.fonts import families, without_true_type
from attnviz.render.figure.grid import grid_box
from attnviz.render.figure.heatmap import heatmap_box
from attnviz.render.figure.links import links_box
from attnviz.render.figure.picture import picture_box
from attnviz.render.figure.settings import own_map_name, settings
from attnviz.render.figure.table import table_box
from attnviz.render.figure.text import text_box
from attnviz.render.figure.text_layout import points
from attnviz.render.style import PLAIN, FigureStyle
from attnviz.views.kinds import (
    Curves,
    Grid,
    Heatmap,
    Line,
    Links,
    Picture,
    Table,
    Text,
    View,
    texts,
)

DOTS = 100
SCREEN, PRINT = 2 * DOTS, 300
"""Dots an inch of pictures made of pixels, and of the cells in those made of lines."""
MAX_PIXELS = 30_000
PRINTED = ("pdf", "eps")
PIXELS = ("png", "jpg", "webp")
SMALL_PRINT = 5.0
"""Points below which it is said how small the letters are."""
BARE_MARGIN = 0.03
READABLE = 2.6
"""Inches that a heatmap with its labels takes at least beside others."""

Placed = list[tuple[Box, float, float]]


def draw(
    views: Sequence[View], format: str, style: FigureStyle = PLAIN, **saving: Any
) -> tuple[bytes, tuple[str, ...]]:
    """One figure with all views, and warnings about what it does not show.

    Args:
        format: one that Matplotlib writes. saving: what its `savefig` takes: metadata, say.
    """
    views = styled(views, style)
    with settings(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message=".*transparency")
        names, missing = families(_texts(views), rcParams["font.family"][0])
        rcParams["font.family"] = names
        if format == "eps":  # it has no compression: a pixel a cell, which stays sharp there
            rcParams["image.interpolation"] = "none"
        outlines = without_true_type(names) if format in PRINTED else []
        if outlines:
            rcParams["pdf.fonttype"] = rcParams["ps.fonttype"] = 3
        page, placed = page_of(views, style)
        Canvas(page.figure)
        dots = _dots(style, format, page)
        for box, x, y in placed:
            box.draw(page, x, y)
        file = io.BytesIO()
        page.figure.savefig(file, format=format, dpi=dots, transparent=style.transparent, **saving)
        said = dict.fromkeys(text for box, *_ in placed for text in box.said)
        missing = (*missing, *(_as_outlines(name, format) for name in outlines[:1]))
        warned = (*missing, *said, *_without_effect(views, style), *_small_print(style))
    return file.getvalue(), warned


def _as_outlines(name: str, format: str) -> str:
    return (
        f"{name} is no TrueType font: the letters of this {format.upper()} are outlines (Type 3); "
        "--font FILE.ttf for one that is"
    )


def styled(views: Sequence[View], style: FigureStyle) -> list[View]:
    """The views with the title that the reader gave, or without what a paper says elsewhere."""
    if style.bare:  # of several, titles are all that tells them apart
        views = [_bare(view, alone=len(views) == 1) for view in views]
    if style.title is None:
        return list(views)
    if len(views) == 1 and not isinstance(views[0], Text):
        return [views[0]._replace(title=style.title)]
    return [Text((Line(style.title, "", "head"),)), *views]


def _bare(view: View, alone: bool) -> View:
    if isinstance(view, Text):
        return view
    return view._replace(title="" if alone else view.title, notes=())


def page_of(
    views: Sequence[View], style: FigureStyle, new: Callable[..., Figure] = Figure
) -> tuple[Page, Placed]:
    """The page, and the boxes at their places: as large as they need; in a size that is given, one
    picture fills it, and what has no other way is made smaller as a whole."""
    margin = BARE_MARGIN if style.bare else MARGIN
    zoom = points(1)
    if style.size is not None:
        width, height = style.size[0] / zoom, style.size[1] and style.size[1] / zoom
        room = Room(width - 2 * margin, height and height - 2 * margin)
        if len(views) == 1 and isinstance(views[0], Heatmap | Grid | Curves):
            box = _box(views[0], style, room)
            end = height or box.height + 2 * margin
            return _page(width, end, new), [(box, margin, margin)]
        if all(isinstance(view, Heatmap) for view in views):
            end, placed = _side_by_side(views, style, room, margin)
            return _page(width, height or end, new), placed
    natural, high, placed = lay_out([_box(view, style) for view in views], margin)
    if style.size is None:
        return _page(natural, high, new), placed
    factor = min(width / natural, (height or high * width / natural) / high)
    rcParams["font.size"] *= factor
    return _page(width / factor, (height or high * factor) / factor, new), placed


def _side_by_side(
    views: Sequence[View], style: FigureStyle, room: Room, margin: float
) -> tuple[float, Placed]:
    """Heatmaps in rows of equal parts of the room, as many in a row as can be read; and where
    they end."""
    across = min(len(views), max(1, int((room.width + GAP) / (READABLE + GAP))))
    down = -(-len(views) // across)
    across = -(-len(views) // down)
    groups = Counter(view.group for view in views if isinstance(view, Heatmap) and view.group)
    together = max(groups.values(), default=1)
    if 1 < together <= across:
        across -= across % together
        down = -(-len(views) // across)
    each = Room((room.width + GAP) / across - GAP, room.height and (room.height + GAP) / down - GAP)
    placed: Placed = []
    y = margin
    for first in range(0, len(views), across):
        boxes = [_box(view, style, each) for view in views[first : first + across]]
        placed += [(box, margin + i * (each.width + GAP), y) for i, box in enumerate(boxes)]
        y += (each.height or max(box.height for box in boxes)) + GAP
    return y - GAP + margin, placed


def _page(width: float, height: float, new: Callable[..., Figure]) -> Page:
    figure = new(figsize=(width * points(1), height * points(1)), dpi=DOTS)
    return Page(figure, width, height)


def _dots(style: FigureStyle, format: str, page: Page) -> int:
    """Dots an inch, unless there would be too many of them to draw."""
    width, height = page.figure.get_size_inches()
    if style.dpi is not None:
        dots = style.dpi
    elif format in PIXELS:
        dots = SCREEN if height * DOTS < MAX_PIXELS / 10 else DOTS
    else:
        dots = PRINT if height * PRINT < MAX_PIXELS else DOTS
    if max(width, height) * dots > MAX_PIXELS:
        raise AttnvizError(
            f"a figure of {width:.0f} × {height:.0f} inches at {dots} dots an inch is too large "
            "to draw",
            "select fewer layers or heads: -s L0-5" if style.dpi is None else "a lower --dpi",
        )
    return dots


def _without_effect(views: Sequence[View], style: FigureStyle) -> Iterator[str]:
    """What the reader asked for and this figure has no use for."""
    scales = {view.scale.kind for view in _heatmaps(views)}
    if style.cmap is not None and not any(own_map_name(kind) for kind in scales):
        where = "here: nothing has a scale of colours"
        if "diverging" in scales:
            where = "on values with a sign, whose scale diverges: --cmap RdBu_r would have"
        elif scales:
            where = "on values without a sign: --cmap viridis would have"
        yield f"--cmap {style.cmap} has no effect {where}"
    if style.grid is not None and not any(isinstance(view, Grid) for view in views):
        yield "--grid has no effect: there are no panels to arrange"
    if not style.values and not any(isinstance(view, Heatmap) for view in views):
        yield "--no-values has no effect: there are no values in cells"


def _heatmaps(views: Sequence[View]) -> Iterator[Heatmap]:
    for view in views:
        if isinstance(view, Heatmap):
            yield view
        elif isinstance(view, Grid):
            yield from view.present()


def _small_print(style: FigureStyle) -> Iterator[str]:
    size = float(rcParams["font.size"])
    if style.size is not None and size < SMALL_PRINT:
        yield f"--size makes the labels {size:.1f} points high"


def missing_fonts(views: Sequence[View]) -> tuple[str, ...]:
    """A word on the characters that no installed font has, once for all these views."""
    return families(_texts(views))[1]


def _texts(views: Sequence[View]) -> Iterator[str]:
    return (text for view in views for text in texts(view))


def _box(view: View, style: FigureStyle, room: Room | None = None) -> Box:
    if isinstance(view, Heatmap):
        return heatmap_box(view, style, room)
    if isinstance(view, Grid):
        return grid_box(view, style, room)
    if isinstance(view, Links):
        return links_box(view, style.bare)
    if isinstance(view, Picture):
        return picture_box(view, style.bare)
    if isinstance(view, Table):
        return table_box(view)
    if isinstance(view, Curves):
        return curves_box(view, room)
    return text_box(view)
