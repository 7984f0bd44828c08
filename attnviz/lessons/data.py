"""What a lesson shows, as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from attnviz.nn.types import Array
from attnviz.views.kinds import Curves, Grid, Heatmap, Links, Picture, Table, Text, Value, View


def arrays(views: Sequence[View]) -> dict[str, Array]:
    """The numbers of all pictures, by their view's place and their title."""
    return {
        f"{place} {name}": array for place, view in enumerate(views) for name, array in _named(view)
    }


def words(views: Sequence[View]) -> list[dict[str, Any]]:
    """The texts and tables, with their view's place."""
    found: list[dict[str, Any]] = []
    for place, view in enumerate(views):
        if isinstance(view, Text):
            found.append({"view": place, "text": [line.text for line in view.lines]})
        elif isinstance(view, Table):
            rows = [[_finite(value) for value in row] for row in view.rows]
            found.append(
                {"view": place, "table": view._replace(rows=())._asdict() | {"rows": rows}}
            )
    return found


def _finite(value: Value) -> Value:
    """JSON has neither NaN nor Infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _named(view: View) -> Iterator[tuple[str, Array]]:
    if isinstance(view, Heatmap | Links):
        yield view.title, view.values
    elif isinstance(view, Grid):
        for panel in view.present():
            yield f"{view.title} · {panel.title}", panel.values
    elif isinstance(view, Picture):
        yield f"{view.title} · image", view.image
        yield from _named(view.grid())
    elif isinstance(view, Curves):
        yield f"{view.title} · {view.x_name}", view.x
        for name, y in view.series:
            yield f"{view.title} · {name}", y
