"""PNG, SVG and PDF, through Matplotlib's object interface: no state that outlives a figure."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from attnviz.errors import AttnvizError
from attnviz.render.figure.boxes import Box, Page, lay_out
from attnviz.render.figure.curves import curves_box
from attnviz.render.figure.fonts import families
from attnviz.render.figure.heatmap import DOTS, grid_box, heatmap_box
from attnviz.render.figure.links import links_box
from attnviz.render.figure.picture import picture_box
from attnviz.render.figure.table import table_box
from attnviz.render.figure.text import text_box
from attnviz.views.kinds import Curves, Grid, Heatmap, Links, Picture, Table, View, texts

MAX_PIXELS = 30_000


def draw(
    views: Sequence[View], format: str, metadata: Mapping[str, str | None]
) -> tuple[bytes, tuple[str, ...]]:
    """One figure with all views, and warnings about characters that no font has.

    Args:
        format: one that Matplotlib writes. metadata: what the file says of itself.
    """
    names, missing = families(_texts(views))
    settings: dict[Any, Any] = {
        "font.family": names,
        "text.parse_math": False,  # one $ in a token would abort the figure
        "axes.unicode_minus": False,
        "svg.hashsalt": "attnviz",
        "hatch.linewidth": 0.5,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        width, height, placed = lay_out([_box(view) for view in views])
        if height * DOTS > MAX_PIXELS:
            raise AttnvizError(
                f"a figure {height:.0f} inches high is too large to draw",
                "select fewer layers or heads: -s L0-5",
            )
        figure = Figure(figsize=(width, height), dpi=DOTS)
        FigureCanvasAgg(figure)
        page = Page(figure, width, height)
        for box, x, y in placed:
            box.draw(page, x, y)
        file = io.BytesIO()
        dots = 2 * DOTS if format == "png" and height * DOTS < MAX_PIXELS / 10 else DOTS
        figure.savefig(file, format=format, dpi=dots, metadata=metadata)
    return file.getvalue(), missing


def missing_fonts(views: Sequence[View]) -> tuple[str, ...]:
    """A word on the characters that no installed font has, once for all these views."""
    return families(_texts(views))[1]


def _texts(views: Sequence[View]) -> Iterator[str]:
    return (text for view in views for text in texts(view))


def _box(view: View) -> Box:
    if isinstance(view, Heatmap):
        return heatmap_box(view)
    if isinstance(view, Grid):
        return grid_box(view)
    if isinstance(view, Links):
        return links_box(view)
    if isinstance(view, Picture):
        return picture_box(view)
    if isinstance(view, Table):
        return table_box(view)
    if isinstance(view, Curves):
        return curves_box(view)
    return text_box(view)
