"""Everything that a view says."""

from __future__ import annotations

from collections.abc import Iterator

from attnviz.views.kinds import Axis, Curves, Grid, Heatmap, Links, Picture, Table, View


def texts(view: View) -> Iterator[str]:
    """Every text of a view, which may hold any characters; not what renderers add."""
    if isinstance(view, Heatmap):
        yield from (view.title, *view.notes, *view.reasons)
        yield from (*_axis(view.rows), *_axis(view.columns))
    elif isinstance(view, Links):
        yield from (view.title, *view.notes, *_axis(view.right), *_axis(view.left))
    elif isinstance(view, Grid):
        yield from (view.title, *view.notes, *view.row_names, *view.column_names)
        for panel in view.present():
            yield from texts(panel)
    elif isinstance(view, Picture):
        yield from (view.title, *view.notes, *view.row_names, *view.column_names)
    elif isinstance(view, Table):
        yield from (view.title, *view.notes, *view.columns)
        for row in view.texts():
            yield from row
    elif isinstance(view, Curves):
        yield from (view.title, *view.notes, view.x_name, view.y_name)
        yield from (name for name, _ in view.series)
    else:
        for line in view.lines:
            yield from (line.term, line.text)


def _axis(axis: Axis) -> Iterator[str]:
    yield axis.name
    yield from axis.labels
