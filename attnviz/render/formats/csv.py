"""CSV: one row a cell, so that every view of a report fits the same columns.

A report that is one table only is written as that table.

A spreadsheet takes text that begins with =, +, -, @, a tab or a line break for a formula, also
behind a semicolon, at which some cut the line. Such text gets an apostrophe in front of the
character; what has one there already gets another, so that taking one away gives the text back.
Numbers stay as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

import numpy as np

from attnviz.views.kinds import Curves, Grid, Heatmap, Links, Picture, Table, View

FORMULA = re.compile(r"(^|;)( *)('*[=+\-@\t\n＝＋－＠])")

COLUMNS = ("view", "row", "row_label", "column", "column_label", "value", "masked")


def render(views: Sequence[View]) -> tuple[bytes, tuple[str, ...]]:
    tables = [view for view in views if isinstance(view, Table)]
    cells = list(_cells(views))
    if len(tables) == 1 and not cells:
        rows: list[Sequence[object]] = [tables[0].columns, *tables[0].rows]
    else:
        rows = [COLUMNS, *cells, *_table_cells(tables)]
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(map(_harmless, row) for row in rows)
    return file.getvalue().encode(), ()


def _harmless(cell: object) -> object:
    """The cell as nothing but text or a number to a spreadsheet."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r", "␍")  # which the writer would leave bare, as the end of a row
    if not FORMULA.search(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return FORMULA.sub(r"\1\2'\3", cell)
    return cell


def _cells(views: Sequence[View]) -> Iterator[Sequence[object]]:
    titles: set[str] = set()
    for view in views:
        for heatmap in _heatmaps(view):
            if heatmap.title not in titles:  # an overview holds what is shown again in full
                titles.add(heatmap.title)
                yield from _matrix(heatmap)
        if isinstance(view, Curves):
            for name, y in view.series:
                for x, value in zip(view.x, y, strict=True):
                    yield view.title, "", name, x, view.x_name, _number(float(value)), ""


def _heatmaps(view: View) -> list[Heatmap]:
    if isinstance(view, Grid):
        return view.present()
    if isinstance(view, Links):
        return [Heatmap(view.title, view.values, view.right, view.left, view.scale)]
    if isinstance(view, Picture):
        return [view.heatmap("image", view.grey()), *view.grid().present()]
    return [view] if isinstance(view, Heatmap) else []


def _matrix(heatmap: Heatmap) -> Iterator[Sequence[object]]:
    rows, columns = heatmap.rows, heatmap.columns
    for i, values in enumerate(heatmap.values):
        for j, value in enumerate(values):
            reason = 0 if heatmap.masked is None else int(heatmap.masked[i, j])
            yield (
                heatmap.title,
                rows.index(i),
                rows.labels[i],
                columns.index(j),
                columns.labels[j],
                "" if reason else _number(value),
                heatmap.reason(reason) if reason else "",
            )


def _table_cells(tables: Sequence[Table]) -> Iterator[Sequence[object]]:
    for table in tables:
        for i, row in enumerate(table.rows):
            for j, value in enumerate(row[1:], 1):
                yield table.title, i, row[0], j, table.columns[j], value, ""


def _number(value: float) -> str:
    """The shortest decimals that give the same number back."""
    return str(value) if np.isfinite(value) else repr(float(value))
