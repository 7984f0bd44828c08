"""Views as what the page's script reads: plain data, with references to packed arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.render.html.pack import FLOAT32, Packer, bits_for
from attnviz.views.kinds import (
    Axis,
    Curves,
    Grid,
    Heatmap,
    Links,
    Picture,
    Table,
    Text,
    View,
)
from attnviz.views.numbers import in_bytes
from attnviz.views.pooling import pool, steps_within

MAX_SIDE = 1024
"""Rows or columns of a matrix that are kept; of more, neighbours are put together."""
MAX_CELLS = 10_000_000
MAX_MAP_CELLS, SMALLEST_MAP = 1_500_000, 64
"""Of all maps of long texts together, and on a side: finer ones are put together."""
MAX_LINKS = 1_500_000
"""Numbers of strongest links: of more, the weaker ones of each query are left out."""
BYTES_PER_CELL = 2.0
"""Of a page, measured: two bytes a number, compressed to three quarters, in base64."""

Data = dict[str, Any]


class Described(NamedTuple):
    title: str
    grids: list[Data]
    views: list[Data]
    first: str
    """The head that is shown at first: `L1.H3`, after `0.` or `1.` where there are more grids."""
    about: list[str]
    axes: list[Data]
    blocks: dict[str, tuple[str, bytes]]
    digits: int
    """Significant digits that the numbers have."""
    warnings: tuple[str, ...]


def describe(views: Sequence[View]) -> Described:
    """The page's content.

    Raises:
        AttnvizError: there are more numbers than a page should hold.
    """
    n_map = sum(heatmap.strongest is not None for view in views for heatmap in heatmaps(view))
    finest = max(SMALLEST_MAP, math.isqrt(MAX_MAP_CELLS // max(1, n_map)))
    pooled = [_pooled(view, finest) for view in views]
    shown = [heatmap for view in pooled for heatmap in heatmaps(view)]
    cells = sum(heatmap.values.size for heatmap in shown)
    if cells > MAX_CELLS:
        size = in_bytes(cells * BYTES_PER_CELL)
        raise AttnvizError(
            f"a page with {cells:,} cells would have about {size}: expected at most {MAX_CELLS:,}",
            "select fewer layers or heads: -s L0-5",
        )
    n_link = _links_of_each(shown)
    packer = Packer(bits_for(cells + n_link * sum(map(_n_query, shown))))
    page = _Page(packer, n_link)
    page.add(pooled)
    about = _about(views, packer)
    if n_link == 0 and any(map(_n_query, shown)):
        about.append(
            say("the strongest links are left out of a page this large: -s L0 has room for them")
        )
    if packer.bits < FLOAT32 and any(heatmap.details for heatmap in shown):
        about.append(say("the scores are left out of a page this large: -s L0 has room for them"))
    digits = int(packer.bits * np.log10(2))
    return Described(
        _title(views),
        page.grids,
        page.views,
        page.first,
        about,
        page.axes,
        packer.blocks(),
        digits,
        (),
    )


def heatmaps(view: View) -> Iterator[Heatmap]:
    """The matrices of a view."""
    if isinstance(view, Heatmap):
        yield view
    elif isinstance(view, Grid):
        yield from view.present()


def first_heatmap(views: Sequence[View]) -> Heatmap | None:
    """The first matrix that stands alone, else the first of a grid."""
    alone = next((view for view in views if isinstance(view, Heatmap)), None)
    return alone or next((h for view in views for h in heatmaps(view)), None)


def _n_query(heatmap: Heatmap) -> int:
    """Of how many queries the strongest links are known."""
    return 0 if heatmap.strongest is None else len(heatmap.strongest.weights)


def _links_of_each(shown: Sequence[Heatmap]) -> int:
    """How many links of each query have room."""
    known = max((h.strongest.weights.shape[1] for h in shown if h.strongest is not None), default=0)
    return min(known, MAX_LINKS // max(1, sum(map(_n_query, shown))))


class _Page:
    def __init__(self, packer: Packer, n_link: int) -> None:
        self.packer = packer
        self.n_link = n_link
        self.grids: list[Data] = []
        self.views: list[Data] = []
        self.first = ""
        self.axes: list[Data] = []
        self._axes: dict[Axis, int] = {}
        self._labels: dict[tuple[str, ...], int] = {}
        self._panels: list[tuple[str, Heatmap, Data]] = []

    def add(self, views: Sequence[View]) -> None:
        n_grid = sum(isinstance(view, Grid) for view in views)
        for view in views:  # before the others, which may show some of its panels again
            if isinstance(view, Grid):
                self.grids.append(self._grid(view, f"{len(self.grids)}." if n_grid > 1 else ""))
        before = True
        for number, view in enumerate(views):
            if number == 0 and isinstance(view, Text):
                view = Text(view.lines[1:])  # the first line is the page's title
            if isinstance(view, Grid):
                before = False
            elif not (isinstance(view, Heatmap) and self._is_panel(view)):
                self.views.append({**self._view(view, f"v{number}"), "before": before})

    def _grid(self, grid: Grid, prefix: str) -> Data:
        panels = []
        number = len(self.grids)
        for row, (name, line) in enumerate(zip(grid.row_names, grid.panels, strict=True)):
            described: list[Data | None] = []
            for column, panel in zip(grid.column_names, line, strict=True):
                if panel is None:
                    described.append(None)
                    continue
                data = self._heatmap(panel, f"g{number}-{row}")
                self._panels.append((f"{prefix}{name}.{column}", panel, data))
                described.append(data)
            panels.append(described)
        return {
            "title": grid.title,
            "rowNames": grid.row_names,
            "columnNames": grid.column_names,
            "panels": panels,
            "notes": grid.notes,
        }

    def _is_panel(self, heatmap: Heatmap) -> bool:
        """Whether a grid has this matrix: what is said of it goes there, and the first of them is
        where the reader begins."""
        for name, panel, data in self._panels:
            same = panel.values.shape == heatmap.values.shape and panel.columns == heatmap.columns
            if same and np.array_equal(panel.values, heatmap.values, equal_nan=True):
                data["notes"] = heatmap.notes
                data["title"] = heatmap.title
                data["caption"] = heatmap.caption
                self.first = self.first or name
                return True
        return False

    def _view(self, view: View, block: str) -> Data:
        if isinstance(view, Heatmap):
            return {"kind": "heatmap", "heatmap": self._heatmap(view, block)}
        if isinstance(view, Links):
            return {"kind": "links", "heatmap": self._links(view, block)}
        if isinstance(view, Picture):
            return self._picture(view, block)
        if isinstance(view, Curves):
            return _curves(view)
        if isinstance(view, Table):
            return _table(view)
        assert isinstance(view, Text)
        return {"kind": "text", "lines": [
            {"text": line.text.replace("\u00a0", " "), "term": line.term, "tone": line.tone}
            for line in view.lines
        ]}  # fmt: skip

    def _heatmap(self, heatmap: Heatmap, block: str) -> Data:
        masked = heatmap.masked
        return {
            "title": heatmap.title,
            "caption": heatmap.caption,
            "rows": self._axis(heatmap.rows),
            "columns": self._axis(heatmap.columns),
            "scale": heatmap.scale._asdict(),
            "values": self.packer.numbers(block, heatmap.values),
            "masked": None if masked is None else self.packer.counts(block, masked),
            "reasons": heatmap.reasons or ("custom",),
            "notes": heatmap.notes,
            "pooling": heatmap.pooling,
            "details": self._details(heatmap, block),
            "strongest": self._strongest(heatmap, block),
            "relation": heatmap.is_relation
            and any(heatmap.rows.labels)
            and any(heatmap.columns.labels)
            and heatmap.scale.kind == "sequential",
        }

    def _details(self, heatmap: Heatmap, block: str) -> list[Data]:
        """Where there is room, so that they do not cost the numbers themselves their digits."""
        if self.packer.bits < FLOAT32:
            return []
        return [
            {"name": name, "values": self.packer.numbers(block, values)}
            for name, values in heatmap.details
        ]

    def _strongest(self, heatmap: Heatmap, block: str) -> Data | None:
        """Of keys how far they are before their query: that is alike for many."""
        links = heatmap.strongest
        if links is None or self.n_link == 0:
            return None
        keys = links.keys[:, : self.n_link]
        return {
            "weights": self.packer.numbers(f"{block}-links", links.weights[:, : self.n_link]),
            "distances": self.packer.places(block, np.arange(len(keys))[:, None] - keys),
            "count": keys.shape[1],
            "rows": self._axis(links.rows),
            "columns": self._axis(links.columns),
        }

    def _axis(self, axis: Axis) -> int:
        """Its number: most matrices of a page have the same few, and queries the labels of keys,
        of which then the other axis's number says what they are."""
        if axis not in self._axes:
            spans = dict(axis.spans) if axis.step == 1 else {}
            self._axes[axis] = len(self.axes)
            counts = axis.step == 1 and not (axis.first or axis.positions or axis.outside)
            same = self._labels.setdefault(axis.labels, self._axes[axis])
            self.axes.append({
                "name": axis.name,
                "labels": axis.labels if same == self._axes[axis] else same,
                "indices": None if counts else [axis.index(i) for i in range(len(axis))],
                "spans": spans,
            })  # fmt: skip
        return self._axes[axis]

    def _links(self, links: Links, block: str) -> Data:
        heatmap = Heatmap(
            links.title, links.values, links.right, links.left, links.scale, notes=links.notes
        )
        return {**self._heatmap(heatmap, block), "relation": True}

    def _picture(self, picture: Picture, block: str) -> Data:
        height, width = picture.image.shape[:2]
        channels = 3 if picture.image.ndim == 3 else 1
        overlays = [
            [
                None if values is None else {
                    "values": self.packer.numbers(block, values),
                    "height": values.shape[0],
                    "width": values.shape[1],
                    "name": f"{row} {column}".strip(),
                }
                for column, values in zip(picture.column_names, line, strict=True)
            ]
            for row, line in zip(picture.row_names, picture.overlays, strict=True)
        ]  # fmt: skip
        image = {"values": self.packer.numbers(block, picture.image),
                 "height": height, "width": width, "channels": channels}  # fmt: skip
        return {"kind": "picture", "title": picture.title, "image": image, "overlays": overlays,
                "scale": picture.scale._asdict(), "notes": picture.notes}  # fmt: skip


def _curves(curves: Curves) -> Data:
    return {
        "kind": "curves",
        "title": curves.title,
        "x": [float(x) for x in curves.x],
        "xName": curves.x_name,
        "yName": curves.y_name,
        "logX": curves.log_x,
        "series": [{"name": name, "y": [_finite(y) for y in ys]} for name, ys in curves.series],
        "notes": curves.notes,
    }


def _table(table: Table) -> Data:
    rows = [
        [
            {
                "text": text,
                "sort": _finite(value) if isinstance(value, float) else value,
                "tone": "",
            }
            for value, text in zip(row, texts, strict=True)
        ]
        for row, texts in zip(table.rows, table.texts(), strict=True)
    ]
    return {"kind": "table", "title": table.title, "columns": table.columns, "rows": rows,
            "notes": table.notes}  # fmt: skip


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _pooled(view: View, finest: int) -> View:
    if isinstance(view, Heatmap):
        most = MAX_SIDE if view.strongest is None else min(finest, MAX_SIDE)
        return pool(view, *steps_within(view.values.shape, most))
    if isinstance(view, Grid):
        panels = tuple(
            tuple(None if panel is None else _pooled(panel, finest) for panel in line)
            for line in view.panels
        )
        return view._replace(panels=panels)  # type: ignore[arg-type]
    return view


def _title(views: Sequence[View]) -> str:
    for view in views:
        if isinstance(view, Text) and view.lines:
            return f"attnviz · {view.lines[0].text}"
        if not isinstance(view, Text):
            return f"attnviz · {view.title}"
    return "attnviz"


def _about(views: Sequence[View], packer: Packer) -> list[str]:
    """What a reader has to know of the numbers."""
    lines = []
    if packer.bits < FLOAT32:
        lines.append(
            say("the numbers are stored with {bits} bits: exact to {share:.2g} % of each value",
                bits=packer.bits, share=100 * 0.5**packer.bits)
        )  # fmt: skip
    if any(max(h.values.shape) > MAX_SIDE for view in views for h in heatmaps(view)):
        lines.append(
            say("matrices of more than {n} rows or columns are pooled: a cell stands for several, "
                "as its index says", n=MAX_SIDE)
        )  # fmt: skip
    lines.append(say("made with attnviz; the page asks no server for anything"))
    return lines
