"""The matrix of one head as it can be drawn: all its cells, those of some rows and keys, or, where
there are too many to be kept, sums of cells."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.tile_readers import Block
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace
from attnviz.trace.spans import HEARD, Zoom, span_text
from attnviz.trace.summary import Summary
from attnviz.views.kinds import Axis, Strongest
from attnviz.views.numbers import share_text
from attnviz.views.pooling import pool_axis

WHOLE = Zoom()


def heard(trace: Trace, zoom: Zoom = WHOLE) -> Zoom:
    """What was asked for, or else of a sound all but the silence behind it, where the weights
    themselves are there; `0-` asks for all."""
    is_whole = all(record.summary is None for record in trace)
    is_padded = any("silence" in tokens.roles for tokens in trace.streams.values())
    return HEARD if is_whole and is_padded and not zoom else zoom


class Matrix(NamedTuple):
    """What a heatmap shows of one head."""

    values: Array
    """[n_row, n_key]"""
    rows: Axis
    columns: Axis
    masked: Array | None
    """[n_row, n_key]: see `Record.reasons`."""
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


def is_pooled(record: Record) -> bool:
    """Whether there are sums of its weights instead of the weights."""
    summary = record.summary
    return summary is not None and max(summary.row_step, summary.key_step) > 1


def matrix_of(
    trace: Trace, record: Record, head: int, stage: str = "weights", zoom: Zoom = WHOLE
) -> Matrix:
    """What there is of a head's stage: exact cells where they were kept, else those of its summary.

    Raises:
        AttnvizError: the stage, or these cells, were not kept; there are no such positions.
    """
    matrix = _matrix_of_keys(trace, record, head, stage, zoom)
    if not record.site.sinks or stage == "scores":
        return matrix
    queries, keys = trace.streams[record.queries], trace.streams[record.keys]
    rows = zoom.block(queries, keys).rows if zoom.rows is not None else None
    return with_sink(matrix, sink_column(record, head, stage, rows), stage)


def _matrix_of_keys(trace: Trace, record: Record, head: int, stage: str, zoom: Zoom) -> Matrix:
    queries, keys = trace.streams[record.queries], trace.streams[record.keys]
    summary = record.summary
    if getattr(record, stage) is not None or summary is None:
        values, masked = record.stage(stage)[head], record.reasons()
        if masked is not None and masked.ndim == 3:
            masked = masked[head]
        whole = Matrix(
            values,
            token_axis(say("query"), queries),
            token_axis(say("key"), keys),
            masked,
            record.site.mask,
        )
        return _zoomed(whole, zoom.block(queries, keys), stage) if zoom else whole
    if stage != "weights":
        record.stage(stage)  # says why there is none
    if head not in summary.heads:
        summary.head(head)
    if not zoom:
        return _pooled(record, summary, head, queries, keys)
    return _block(record, summary, head, zoom, queries, keys)


def sink_column(
    record: Record, head: int, stage: str = "weights", rows: Array | None = None
) -> Array | None:
    """What a learned sink takes of each row, or of these `rows`, [n_row]; of "logits" its logit,
    the same for all. None where it was not kept."""
    summary = record.summary
    if stage == "logits":
        n_row = len(record.stage(stage)[head]) if rows is None else len(rows)
        return None if record.sinks is None else np.full(n_row, record.sinks[head])
    if record.weights is not None:
        mass = record.weights[head].sum(-1, dtype=np.float64)
        return _rest(mass if rows is None else mass[rows])
    assert summary is not None
    at = summary.heads.index(head)
    if rows is None and summary.rows is None:
        sizes = pool_axis(Axis("", ("",) * summary.shape[0]), summary.row_step).sizes
        return _rest(summary.total[at].sum(-1, dtype=np.float64) / sizes)
    if summary.block is None or summary.keys is None or len(summary.keys) < summary.shape[1]:
        return None
    assert summary.rows is not None
    mass = summary.block[at].sum(-1, dtype=np.float64)
    return _rest(mass if rows is None else mass[np.searchsorted(summary.rows, rows)])


def _rest(mass: Array) -> Array:
    """What is left of each row; rounding leaves no less than nothing."""
    return np.asarray(np.maximum(0.0, 1 - mass))


def with_sink(matrix: Matrix, column: Array | None, stage: str = "weights") -> Matrix:
    """The matrix with a column for the sink behind those of the keys, and what it is."""
    if column is None:
        note = say("the rows' sink, a learned logit that is no key, was not kept")
        return matrix._replace(notes=(*matrix.notes, note))
    masked = matrix.masked
    beside = column[:, None].astype(matrix.values.dtype)
    note = (
        say(
            "sink, at the end: no key; a learned logit that takes this share of each row and moves "
            "nothing"
        )
        if stage == "weights"
        else say("sink, at the end: no key; a learned logit, the same in all rows")
    )
    return matrix._replace(
        values=np.concatenate([matrix.values, beside], -1),
        columns=matrix.columns.with_outside(say("sink")),
        masked=None if masked is None else np.pad(masked, ((0, 0), (0, 1))),
        notes=(*matrix.notes, note),
    )


def strongest_links(trace: Trace, record: Record, head: int) -> Strongest | None:
    """The largest weights of each query, where only a summary was kept."""
    summary = record.summary
    if summary is None or record.weights is not None:
        return None
    at = summary.heads.index(head)
    return Strongest(
        summary.links[at],
        summary.link_keys[at],
        token_axis(say("query"), trace.streams[record.queries]),
        token_axis(say("key"), trace.streams[record.keys]),
    )


def token_axis(name: str, tokens: Tokens) -> Axis:
    return _token_axis(say(name), tokens)


@lru_cache(maxsize=8)  # of a long text it takes a while, and every head has the same
def _token_axis(name: str, tokens: Tokens) -> Axis:
    special = frozenset(tokens.special)
    return Axis(name, tokens.labels, special=special, spans=tuple(tokens.spans.items()))


def part_of_axis(axis: Axis, positions: Array) -> Axis:
    """The axis of some positions only, which keep their numbers; what is none stays."""
    if axis.outside:
        beside = axis.labels[len(axis) - axis.outside :]
        return part_of_axis(axis.without_outside(), positions).with_outside(*beside)
    if len(positions) == len(axis):
        return axis
    local = {int(position): i for i, position in enumerate(positions)}
    first = int(positions[0])
    follows = len(positions) == int(positions[-1]) - first + 1
    return Axis(
        axis.name,
        tuple(axis.labels[position] for position in local),
        first=first if follows else 0,
        special=frozenset(local[p] for p in axis.special if p in local),
        spans=tuple(
            (name, found)
            for name, places in axis.spans
            if (found := tuple(local[p] for p in places if p in local))
        ),
        positions=() if follows else tuple(local),
    )


def _zoomed(whole: Matrix, block: Block, stage: str) -> Matrix:
    cells = np.ix_(block.rows, block.keys)
    values = whole.values[cells]
    part = Matrix(
        values,
        part_of_axis(whole.rows, block.rows),
        part_of_axis(whole.columns, block.keys),
        None if whole.masked is None or not whole.masked[cells].any() else whole.masked[cells],
        whole.reasons,
    )
    shape = len(whole.rows), len(whole.columns)
    return part._replace(notes=zoom_notes(block, shape, values if stage == "weights" else None))


def zoom_notes(block: Block, shape: tuple[int, int], weights: Array | None) -> tuple[str, ...]:
    """Which rows and keys are shown of how many, and how much of the rows' weight these hold."""
    (n_row, n_key), (n_q, n_k) = map(len, block), shape
    parts = []
    if n_row < n_q:
        parts.append(say("queries {some} of 0-{last}", some=span_text(block.rows), last=n_q - 1))
    if n_key < n_k:
        keys = say("keys {some} of 0-{last}", some=span_text(block.keys), last=n_k - 1)
        if weights is not None:
            total = float(np.nansum(weights, dtype=np.float64)) / max(1, n_row)
            keys += say(", which hold {percent} of the rows' weight", percent=_percent(total))
        parts.append(keys)
    return (say("shown: {parts}", parts="; ".join(parts)),) if parts else ()


def _percent(share: float) -> str:
    """Whole percents; little is not nothing."""
    return share_text(share) if share < 0.01 else f"{share:.0%}"


def _pooled(record: Record, summary: Summary, head: int, queries: Tokens, keys: Tokens) -> Matrix:
    """Of each cell of the map the sum over keys, averaged over queries."""
    at = summary.heads.index(head)
    rows = pool_axis(token_axis(say("query"), queries), summary.row_step)
    columns = pool_axis(token_axis(say("key"), keys), summary.key_step)
    seen = summary.visible[at] if summary.visible.ndim == 3 else summary.visible
    masked = None if seen.all() else (seen == 0).astype(np.uint8)
    return Matrix(
        summary.total[at] / rows.sizes[:, None],
        rows,
        columns,
        masked,
        ("+".join(record.site.mask),) if record.site.mask else (),
    )


def _block(
    record: Record, summary: Summary, head: int, zoom: Zoom, queries: Tokens, keys: Tokens
) -> Matrix:
    """Cells of the block that was kept as it is; all its rows or keys, where only the others are
    asked for."""
    if summary.block is None or summary.rows is None or summary.keys is None:
        raise AttnvizError(
            f"{record.id}: of an input this long only a summary was kept, no weights as they are",
            "run the text itself with these --rows and --keys",
        )
    block = zoom.block(queries, keys)
    wanted = Block(
        summary.rows if zoom.rows is None else block.rows,
        summary.keys if zoom.keys is None else block.keys,
    )
    for name, asked, kept in (
        ("rows", wanted.rows, summary.rows),
        ("keys", wanted.keys, summary.keys),
    ):
        missing = np.setdiff1d(asked, kept)
        if missing.size:
            raise AttnvizError(
                f"--{name}: {record.id} has no weights of {missing[0]}: of an input this long only "
                f"{name} {span_text(kept)} were kept as they are",
                f"--{name} {span_text(kept).partition(',')[0]}, or run the text itself",
            )
    at = summary.heads.index(head)
    cells = np.ix_(
        np.searchsorted(summary.rows, wanted.rows), np.searchsorted(summary.keys, wanted.keys)
    )
    masked = summary.block_masked
    if masked is not None:
        masked = (masked[at] if masked.ndim == 3 else masked)[cells]
    values = summary.block[at][cells]
    return Matrix(
        values,
        part_of_axis(token_axis(say("query"), queries), wanted.rows),
        part_of_axis(token_axis(say("key"), keys), wanted.keys),
        masked if masked is not None and masked.any() else None,
        record.site.mask,
        zoom_notes(wanted, summary.shape, values),
    )
