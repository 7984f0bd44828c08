"""The one picture of some heads: for a figure, not for a report."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.errors import AttnvizError
from attnviz.trace.record import Trace
from attnviz.trace.selection import Head, Selection
from attnviz.trace.spans import Zoom
from attnviz.views.attention import (
    MATRIX_STAGES,
    By,
    head_heatmap,
    head_title,
    overviews,
    stage_scale,
)
from attnviz.views.kinds import Heatmap, View
from attnviz.views.matrices import WHOLE, heard, matrix_of
from attnviz.views.one_row import MOST_HEADS, is_one_row, row_views


def head_pictures(
    trace: Trace,
    selection: Selection,
    stage: str = "weights",
    by: By = "auto",
    zoom: Zoom = WHOLE,
) -> Sequence[View]:
    """One head as a matrix; of several a grid for each block and kind of attention.

    Raises:
        AttnvizError: there is no such stage, or none of the heads.
    """
    if stage not in MATRIX_STAGES:
        raise AttnvizError(f"cannot draw {stage!r}", f"known: {', '.join(MATRIX_STAGES)}")
    selection.check(list(trace))
    zoom = heard(trace, zoom)
    records = [record for record in trace if selection.covers(record)]
    heads = [(record, head) for record in records for head in selection.heads(record)]
    if not heads:
        return []
    for record in records:
        matrix_of(trace, record, selection.heads(record)[0], stage, zoom)
    scale = stage_scale(records, stage, by, zoom)
    if is_one_row(trace, records[0], zoom) and len(heads) <= MOST_HEADS:
        named = [Head(record.id, head) for record, head in heads]
        names = [head_title(trace, head) for head in named]
        listed = row_views(trace, named, names, stage, scale, zoom)
        return [view for view in listed if isinstance(view, Heatmap)]
    if len(heads) == 1:
        return [head_heatmap(trace, *heads[0], stage, scale, zoom=zoom)]
    return overviews(trace, records, selection, stage, scale, zoom=zoom)
