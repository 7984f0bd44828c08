"""Pictures on Matplotlib's axes: a reader's own, or new ones in a figure of the right size."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import matplotlib
from matplotlib.axes import Axes

from attnviz.render.figure import page_of, styled
from attnviz.render.figure.bar import fill_bar
from attnviz.render.figure.boxes import left_to_right
from attnviz.render.figure.fonts import families
from attnviz.render.figure.grid import draw_grid, grid_notes, plan_grid
from attnviz.render.figure.heatmap import as_it_is, draw_heatmap, heatmap_notes, plan_on
from attnviz.render.figure.settings import (
    FIXED,
    check,
    font_family,
    own_maps,
    settings,
    sheet_settings,
)
from attnviz.render.figure.text_layout import SMALL, TITLE, on_page, points
from attnviz.render.style import FigureStyle
from attnviz.views.kinds import Grid, Heatmap, Scale, texts

BAR = (1.02, 0.03)
"""Where the colour bar begins and how wide it is, in widths of the axes."""


def new_axes(view: Heatmap | Grid, style: FigureStyle) -> Axes:
    """The picture in a figure of its own, as `--plot` draws it; a notebook shows it."""
    from matplotlib import pyplot

    check(style)
    (view,) = styled([view], style)  # type: ignore[assignment]
    with settings(style), _quiet(view):
        page, placed = page_of([view], style, pyplot.figure)
        for box, x, y in placed:
            box.draw(page, x, y)
    for box, *_ in placed:
        for text in box.said:
            warnings.warn(text, stacklevel=4)
    if style.transparent:
        page.figure.patch.set_alpha(0)
    if style.dpi is not None:
        page.figure.set_dpi(style.dpi)
    return page.figure.axes[0]


def draw_on(axes: Axes, view: Heatmap | Grid, style: FigureStyle) -> None:
    """The picture on axes that are there, in the size that they have."""
    check(style)
    (view,) = styled([view], style)  # type: ignore[assignment]
    with _reader_s_settings(style), _quiet(view):
        figure = axes.get_figure(root=True)
        assert figure is not None
        area = axes.get_position()
        width, height = figure.get_size_inches() * (area.width, area.height) / points(1)
        if isinstance(view, Grid):
            panels = plan_grid(view, style, width, height)
            notes, scale = grid_notes(panels, view, style), panels.panels[0].heatmap.scale
            draw_grid(axes, panels)
            pad = panels.above
        else:
            plan = plan_on(view, style, width, height)
            notes, scale = heatmap_notes(plan.heatmap, plan.rows, plan.columns, style), view.scale
            draw_heatmap(axes, plan)
            pad = 0.0
        _title(axes, view.title, pad)
        if not style.bare:
            _notes(axes, notes, scale)


def _title(axes: Axes, title: str, above: float) -> None:
    if title:
        written = axes.set_title(
            left_to_right(title),
            fontsize=points(TITLE),
            weight="bold",
            color=on_page("black"),
            pad=points(72 * above + 6),
        )
        as_it_is(written)


def _notes(axes: Axes, notes: tuple[str, ...], scale: Scale) -> None:
    """The colour bar at the right, what has to be known below."""
    fill_bar(axes.inset_axes((BAR[0], 0, BAR[1], 1)), scale)
    if notes:
        axes.text(
            0,
            -0.03,
            "\n".join(notes),
            transform=axes.transAxes,
            va="top",
            fontsize=points(SMALL),
            color=on_page("0.35"),
        )


@contextlib.contextmanager
def _reader_s_settings(style: FigureStyle) -> Iterator[None]:
    """Matplotlib as the reader has set it, but for what the style asks for and labels need."""
    chosen: dict[str, object] = {} if style.sheet is None else sheet_settings(style.sheet)
    chosen |= {
        name: FIXED[name]
        for name in ("text.parse_math", "text.usetex", "axes.grid", "image.interpolation")
    }
    if style.font is not None:
        chosen["font.family"] = [font_family(style.font)]
    if style.font_size is not None:
        chosen["font.size"] = style.font_size
    with matplotlib.rc_context(chosen), own_maps(style):  # type: ignore[arg-type]
        yield


@contextlib.contextmanager
def _quiet(view: Heatmap | Grid) -> Iterator[None]:
    """With fonts for all characters; once, and in our words, for those that none has."""
    names, missing = families(texts(view), matplotlib.rcParams["font.family"][0])
    for text in missing:
        warnings.warn(text, stacklevel=5)
    matplotlib.rcParams["font.family"] = names
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
