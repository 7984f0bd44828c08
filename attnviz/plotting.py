"""Heads of a trace on Matplotlib's axes: `attnviz.plot(trace, "L1.H3")`, `trace.plot("L1.H3")`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError
from attnviz.registry import nearest
from attnviz.render.style import FigureStyle
from attnviz.trace.selection import parse_selection
from attnviz.views.kinds import Grid, Heatmap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attnviz.trace.record import Trace


def plot(
    trace: Trace,
    select: str | Sequence[str] = (),
    ax: Axes | None = None,
    *,
    stage: str = "weights",
    scale: str = "all",
    bare: bool = False,
    title: str | None = None,
    cmap: str | None = None,
    size: tuple[float, float] | float | None = None,
    dpi: int | None = None,
    font: str | None = None,
    font_size: float | None = None,
    style: str | Path | None = None,
    transparent: bool = False,
    values: bool = True,
    grid: tuple[int, int] | None = None,
) -> Axes:
    """Draw one head as a matrix, or several as a grid of panels. Nothing is shown or closed.

    Args:
        select: `L1.H3`, `L1`, `decoder.0.cross`; several in a list. All heads by default.
        ax: where to draw; without it, a new figure of pyplot's that is as large as it needs.
        stage: `weights`, `scores` or `logits`, as far as the trace has kept them.
        scale: the colours: `all` is 0 to 1, `row` and `head` 0 to the largest, `log` decades.
        bare: no title, notes, colour bar and positions.
        cmap: a colour map of Matplotlib's, by name.
        size: inches of the new figure, width and height or the width alone.
        style: a style sheet of Matplotlib's, by path or name.
        values: numbers in the cells, where there is room.
        grid: rows and columns of the panels, else layers × heads.

    Returns:
        The axes of the picture.

    Raises:
        AttnvizError: there is no such head, stage or option, or the heads are of several kinds
            of attention, which have different tokens.
    """
    from attnviz.render.figure.axes import draw_on, new_axes
    from attnviz.views.attention import SCALES
    from attnviz.views.figure import head_pictures

    if scale not in SCALES:
        raise AttnvizError(f"scale: unknown value {scale!r}", nearest(scale, SCALES))
    if ax is not None and size is not None:
        raise AttnvizError("size is of a new figure, and ax has one", "plt.subplots(figsize=…)")
    clauses = [select] if isinstance(select, str) and select else list(select)
    by: Any = scale
    view = _only(trace, head_pictures(trace, parse_selection(clauses, option=""), stage, by))
    look = FigureStyle(
        bare=bare,
        title=title,
        cmap=cmap,
        size=(size, None) if isinstance(size, int | float) else size,
        dpi=dpi,
        font=font,
        font_size=font_size,
        sheet=None if style is None else Path(style),
        transparent=transparent,
        values=values,
        grid=grid,
    )
    if ax is None:
        return new_axes(view, look)
    draw_on(ax, view, look)
    return ax


def _only(trace: Trace, views: Sequence[Any]) -> Heatmap | Grid:
    if len(views) == 1 and isinstance(views[0], Heatmap | Grid):
        return views[0]
    if not views:
        raise AttnvizError("this trace has no attention to draw", "trace.records")
    layers: dict[tuple[str, str], list[int]] = {}
    for record in trace:
        layers.setdefault(record.id.group, []).append(record.layer)
    names = [f'"{b}.{min(own)}-{max(own)}.{k}"' for (b, k), own in layers.items()]
    raise AttnvizError(
        f"these heads are of {len(views)} kinds of attention, and axes hold one",
        f"select one: {', '.join(names)}",
    )
