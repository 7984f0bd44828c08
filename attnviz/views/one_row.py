"""What one query looks at: its strongest keys by name, instead of a matrix of one row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Head, Selection
from attnviz.trace.spans import Zoom
from attnviz.views.kinds import Axis, Heatmap, Line, Scale, Text, View
from attnviz.views.matrices import Matrix, matrix_of
from attnviz.views.sentences import key_name, share_text

FEW_KEYS = 12
"""Keys that fit beside one another with their names."""

MOST_KEYS = 20
"""Keys that are listed, the strongest, where there are more."""

MOST_HEADS = 12
"""Heads whose columns fit beside one another."""

WHOLE_NAMES = 6
"""Heads whose columns have room for `L10.H3`."""

NAMED, LEAST = 3, 0.01
"""Keys that a sentence names, and the least weight of those after the first."""


def is_one_row(trace: Trace, record: Record, zoom: Zoom) -> bool:
    """Whether one query is looked at, at more keys than fit beside one another."""
    if zoom.rows is None:
        return False
    rows, keys = zoom.block(trace.streams[record.queries], trace.streams[record.keys])
    return len(rows) == 1 and len(keys) > FEW_KEYS


def most_columns(records: Sequence[Record], selection: Selection) -> int:
    """How many heads may stand beside one another, if all that are named do; else 0."""
    n_head = sum(len(selection.heads(record)) for record in records)
    return MOST_HEADS if selection.clauses and n_head <= MOST_HEADS else 0


def row_views(
    trace: Trace, heads: Sequence[Head], names: Sequence[str], stage: str, scale: Scale, zoom: Zoom
) -> list[View]:
    """Keys × heads for each pair of streams, the strongest keys first, with a sentence a head.

    Args:
        names: of the heads, `L1.H3`.
    """
    views: list[View] = []
    pairs = list(zip(heads, names, strict=True))
    for streams, group in groupby(pairs, lambda pair: _streams(trace, pair[0])):
        members = list(group)
        matrices = [matrix_of(trace, trace[head.id], head.number, stage, zoom)
                    for head, _ in members]  # fmt: skip
        queries, keys = (trace.streams[name] for name in streams)
        labels = [name for _, name in members]
        if len(labels) > WHOLE_NAMES:  # the number of the head stands above
            labels = [label.partition(".H")[0] for label in labels]
        columns = Axis(say("head"), tuple(labels),
                       positions=tuple(head.number for head, _ in members))  # fmt: skip
        listed = _listed(matrices, columns, queries, stage, scale)
        if stage == "weights":
            lines = [Line(row_sentence(matrix, keys), name)
                     for matrix, (_, name) in zip(matrices, members, strict=True)]  # fmt: skip
            views.append(Text((Line(_query_name(matrices[0], queries), say("query")), *lines)))
            listed = listed._replace(heading="", title="")
        views.append(listed)
    return views


def _streams(trace: Trace, head: Head) -> tuple[str, str]:
    record = trace[head.id]
    return record.queries, record.keys


def _listed(
    matrices: Sequence[Matrix],
    columns: Axis,
    queries: Tokens,
    stage: str,
    scale: Scale,
) -> Heatmap:
    first = matrices[0]
    values = np.stack([matrix.values[0] for matrix in matrices], axis=-1)
    masked = np.stack([_masked(matrix) for matrix in matrices], axis=-1)
    n_key = len(first.columns) - first.columns.outside
    order = _strongest(values[:n_key], masked[:n_key])
    name = _query_name(first, queries)
    places = [int(first.columns.index(int(key))) for key in order]
    order = np.append(order, np.arange(n_key, len(first.columns)))  # the sink, if there is one
    n_beside = first.columns.outside
    notes = first.notes[-1:] if n_beside else ()
    if len(places) < n_key:
        notes = (_what_is_shown(values[:n_key], order[: len(places)], stage), *notes)
    rows = Axis(
        say("key"),
        tuple(first.columns.labels[key] for key in order),
        special=frozenset(i for i, key in enumerate(order) if key in first.columns.special),
        positions=tuple(places),
        outside=n_beside,
    )
    return Heatmap(
        title=say("query {query} and its keys", query=name),
        heading=say("what query {query} looks at", query=name),
        name=f"query-{first.rows.index(0)}-{stage}",
        values=values[order],
        rows=rows,
        columns=columns,
        scale=scale,
        masked=masked[order] if stage != "scores" and masked[order].any() else None,
        reasons=first.reasons,
        notes=notes,
        pooling="mean",
        is_relation=False,
        what=say("weights") if stage == "weights" else stage,
    )


def _query_name(matrix: Matrix, queries: Tokens) -> str:
    """`15 saw`"""
    place = matrix.rows.index(0)
    return f"{place} {queries.labels[int(place)]}"


def _masked(matrix: Matrix) -> Array:
    return np.zeros(len(matrix.columns), np.uint8) if matrix.masked is None else matrix.masked[0]


def _strongest(values: Array, masked: Array) -> Array:
    """The keys with the largest values of any head, the largest first; of few keys all, in their
    order. values, masked [n_key, n_head]."""
    if len(values) <= MOST_KEYS:
        return np.arange(len(values))
    seen = np.where((masked == 0) & np.isfinite(values), values, -np.inf).max(-1)
    order = np.argsort(-seen, kind="stable")[:MOST_KEYS]
    return np.asarray(order[np.isfinite(seen[order])])


def _what_is_shown(values: Array, order: Array, stage: str) -> str:
    shown = say("the {n} strongest of {n_key} keys, the strongest first", n=len(order),
                n_key=len(values))  # fmt: skip
    if stage != "weights":
        return shown
    held = values[order].sum(0, dtype=np.float64)
    low, high = share_text(float(held.min())), share_text(float(held.max()))
    share = low if low == high else f"{low}–{high}"
    return shown + say("; they hold {share} of the row's weight", share=share)


def _without_sink(matrix: Matrix) -> Matrix:
    masked = None if matrix.masked is None else matrix.masked[:, :-1]
    return matrix._replace(
        values=matrix.values[:, :-1], columns=matrix.columns.without_outside(), masked=masked
    )


def row_sentence(matrix: Matrix, keys: Tokens) -> str:
    """`looks at [BOS] (41%), “king” (12%) and “of” at 15998 (7%)`: the strongest keys of one row of
    weights."""
    row = np.where(_masked(matrix) == 0, np.nan_to_num(matrix.values[0], nan=0.0), 0.0)
    if matrix.columns.outside:
        row, sink = row[:-1], float(row[-1])
        looks = row_sentence(_without_sink(matrix), keys) if row.any() else ""
        taken = say("the sink takes {share}", share=share_text(sink))
        return f"{looks}; {taken}" if looks else taken
    if not row.any():
        return say("looks at no key that is shown")
    best = np.argsort(-row, kind="stable")[:NAMED]
    named = [
        f"{key_name(int(matrix.columns.index(int(key))), keys)} ({share_text(float(row[key]))})"
        for key in best
        if key == best[0] or row[key] >= LEAST
    ]
    if len(named) == 1:
        return say("looks at {key}", key=named[0])
    return say("looks at {keys} and {key}", keys=", ".join(named[:-1]), key=named[-1])
