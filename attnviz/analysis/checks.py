"""What a reader has to know before trusting a picture: sinks, empty rows, broken numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from attnviz.analysis.distributions import spread_evenly
from attnviz.analysis.visibility import looks_causal, row_blocks
from attnviz.nn.types import Array
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection

SINK_SHARE = 0.4
"""A key that takes more of all weights than this, and twice what an even spread gives it."""

ROW_SUM_TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9}
"""By the bytes of a number: half precision rounds every weight."""

LISTED = 3


class Finding(NamedTuple):
    """One thing that was noticed, in a sentence."""

    kind: Literal["note", "warning"]
    text: str


def findings(trace: Trace, selection: Selection | None = None) -> list[Finding]:
    """Everything worth saying about the weights of a trace."""
    selection = selection or Selection()
    records = [r for r in trace if selection.covers(r) and r.weights is not None]
    notices: list[Finding] = []
    for record in records:
        notices += _broken(record)
        notices += _empty_rows(record)
    notices += _rows_off_one(records)
    sink = _sink(trace, records, selection)
    return notices + ([sink] if sink else [])


def _broken(record: Record) -> Iterable[Finding]:
    for stage, array in record.kept().items():
        if array.dtype.kind != "f":
            continue
        bad = ~np.isfinite(array)
        if stage == "logits":
            bad &= ~np.isneginf(array)
        if bad.any():
            cells = [_cell(stage, index) for index in np.argwhere(bad)[:LISTED]]
            more = int(bad.sum()) - len(cells)
            names = ", ".join(cells) + (f" and {more} more" if more else "")
            yield Finding("warning", f"{record.id}: NaN or infinity in {stage}: {names}")


def _cell(stage: str, index: Array) -> str:
    names = {2: ("row", "column"), 3: ("head", "row", "column")}.get(len(index), ())
    if stage in ("q", "k", "v", "context") and len(index) == 3:
        names = ("head", "position", "dimension")
    return " ".join(f"{name} {i}" for name, i in zip(names, index, strict=False))


def _empty_rows(record: Record) -> Iterable[Finding]:
    assert record.weights is not None
    if record.mask is None:
        zero = (record.weights == 0).all(-1)
        if zero.any():
            heads, rows = np.nonzero(zero)
            text = _listing([f"head {h} row {r}" for h, r in zip(heads, rows, strict=True)])
            yield Finding("warning", f"{record.id}: rows whose weights are all zero: {text}")
        return
    empty = ~record.mask.any(-1)
    if empty.any():
        rows = np.unique(np.nonzero(empty)[-1])
        text = _listing([str(row) for row in rows])
        yield Finding(
            "warning", f"{record.id}: queries that see no key, so their weights are zero: {text}"
        )


def _rows_off_one(records: Sequence[Record]) -> Iterable[Finding]:
    """Only sums that are neither 1 nor, for a row without keys, 0."""
    for record in records:
        assert record.weights is not None
        if record.site.sinks:
            continue
        tolerance = ROW_SUM_TOLERANCE.get(record.weights.dtype.itemsize, 1e-4)
        sums = record.weights.sum(-1, dtype=np.float64)
        off = (np.abs(sums - 1) > tolerance) & record.weights.any(-1)
        if off.any():
            worst = np.unravel_index(np.nanargmax(np.abs(sums - 1) * off), sums.shape)
            yield Finding(
                "warning",
                f"{record.id}: {int(off.sum())} of {off.size} rows do not sum to 1; "
                f"head {worst[0]} row {worst[1]} sums to {sums[worst]:.4g}",
            )
        if (record.weights < 0).any():
            yield Finding("warning", f"{record.id}: negative weights: are these scores?")


def _sink(trace: Trace, records: Sequence[Record], selection: Selection) -> Finding | None:
    """A key that takes much of everything, over all selected heads that share its stream."""
    by_stream: dict[str, list[tuple[Array, Array]]] = {}
    for record in records:
        assert record.weights is not None
        guessed = looks_causal(record)
        for head in selection.heads(record):
            got, even = np.zeros((2, record.weights.shape[-1]))
            row = 0
            for weights, visible in row_blocks(record, head):
                got += weights.sum(0, dtype=np.float64)
                even += spread_evenly(np.tril(visible, row) if guessed else visible).sum(0)
                row += len(weights)
            n_q = record.weights.shape[-2]
            by_stream.setdefault(record.keys, []).append((got / n_q, even / n_q))
    for stream, heads in by_stream.items():
        got, even = (np.mean([pair[i] for pair in heads], axis=0) for i in (0, 1))
        if got.size < 2 or not np.isfinite(got).all():
            continue
        key = int(got.argmax())
        if got[key] > max(SINK_SHARE, 2 * even[key]):
            label = trace.streams[stream].labels[key]
            which = "the first token" if key == 0 else f"token {key}"
            return Finding(
                "note",
                f"sink: {which} ({label}) takes {got[key]:.0%} of all weights shown "
                f"(spread evenly: {even[key]:.0%})",
            )
    return None


def _listing(items: list[str]) -> str:
    more = len(items) - 8
    return ", ".join(items[:8]) + (f" and {more} more" if more > 0 else "")
