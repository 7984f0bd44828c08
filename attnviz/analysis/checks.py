"""What a reader has to know before trusting a picture: sinks, empty rows, broken numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from attnviz.analysis.metrics import MetricContext, MetricEntry
from attnviz.analysis.metrics.keys import mean_row
from attnviz.analysis.metrics.measure import is_measurable, measure_record
from attnviz.analysis.metrics.sums import Measured
from attnviz.analysis.visibility import looks_causal, visible_to
from attnviz.language import say
from attnviz.nn.site import RecordId
from attnviz.nn.stages import MATRICES
from attnviz.nn.types import Array, Bool
from attnviz.trace.record import ARRAY, Record, Trace
from attnviz.trace.selection import Head, Selection

SINK_SHARE = 0.4
"""A key that takes more of all weights than this, and twice what an even spread gives it."""

ROW_SUM_TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9}
"""By the bytes of a number: half precision rounds every weight."""

LISTED = 3


class Finding(NamedTuple):
    """One thing that was noticed, in a sentence of the reader's language."""

    kind: Literal["note", "warning"]
    text: str


class Facts(NamedTuple):
    """What was measured of a record."""

    received: Array
    """[n_head, n_k]: the share of all weights that each key gets; NaN without distributions."""
    even: Array
    """[n_head, n_k]: the same of an even spread."""
    good: Bool
    """[n_head]: heads whose rows are distributions over the keys they see."""
    are_sound: bool
    """Whether nothing but the mask and the sink has to be looked at."""


RECEIVED = MetricEntry("received", np.asarray, of=mean_row)


def findings(trace: Trace, selection: Selection | None = None) -> list[Finding]:
    """Everything worth saying about the weights of a trace."""
    selection = selection or Selection()
    records = [r for r in trace if selection.covers(r) and is_measurable(r)]
    facts = {record.id: _facts(record) for record in records}
    notices: list[Finding] = []
    for record in records:
        if record.weights is None:
            notices += _of_summary(record)
            continue
        sound = facts[record.id].are_sound
        notices += _broken(record, but="weights" if sound else "")
        notices += _empty_rows(record)
        notices += () if sound else _masked_weights(record)
    notices += _rows_off_one([record for record in records if not facts[record.id].are_sound])
    notices += _no_distributions(records, selection, facts)
    sink = _sink(trace, records, selection, facts)
    return notices + ([sink] if sink else [])


def _facts(record: Record) -> Facts:
    if record.weights is None:
        assert record.summary is not None
        named = record.summary.statistics
        return Facts(named["received"], named["even_received"], named["distributions"] > 0, True)
    heads = range(record.n_head)
    visible = visible_to(record, heads)
    if looks_causal(record):
        visible = np.tril(visible)
    measured = measure_record(record, heads, MetricContext(visible, None), [RECEIVED])
    sums, tolerance = measured.sums, ROW_SUM_TOLERANCE.get(record.weights.dtype.itemsize, 1e-4)
    far = 0 if record.site.sinks else sums.off_one.max(initial=0)
    zero = sums.zero.count.any() and record.mask is None
    are_sound = bool(sums.good.all() and far <= tolerance and not zero)
    return Facts(*received(measured, visible.shape[-2]), sums.good, are_sound)


def received(measured: Measured, n_q: int) -> tuple[Array, Array]:
    """The share of all weights of n_q queries that each key gets, of heads and of an even spread,
    [n_head, n_k] each."""
    rows = measured.rows["received"][:, None] / max(n_q, 1)
    return measured.value["received"] * rows, measured.null["received"] * rows


def _of_summary(record: Record) -> Iterable[Finding]:
    """What was noticed of weights that were not kept."""
    assert record.summary is not None
    named, heads = record.summary.statistics, record.summary.heads
    if named["broken"].any():
        rows = [
            say("head {head} row {row} (all keys)", head=head, row=int(row))
            for head, its in zip(heads, named["broken_rows"], strict=True)
            for row in its[its >= 0]
        ][:LISTED]
        cells = _joined(rows, int(named["broken"].sum()) - len(rows))
        text = say(
            "{id}: NaN or infinity in {stage}: {cells}",
            id=record.id, stage="weights", cells=cells,
        )  # fmt: skip
        yield Finding("warning", text)
    if named["empty"].any():
        most = int(named["empty"].argmax())
        first = named["empty_rows"][most]
        yield _no_key(record, first[first >= 0].tolist(), int(named["empty"][most]))


def _no_key(record: Record, rows: Sequence[int], count: int) -> Finding:
    named = [str(row) for row in rows[:8]]
    message = say(
        "{id}: queries that see no key, so their weights are zero: {rows}",
        id=record.id,
        rows=_joined(named, count - len(named)),
    )
    return Finding("warning", message)


def _broken(record: Record, but: str = "") -> Iterable[Finding]:
    """In all stages but one, which is known to be sound."""
    for stage, array in record.kept().items():
        if array.dtype.kind != "f" or stage == but:
            continue
        bad = ~np.isfinite(array)
        if stage == "logits":
            bad &= ~np.isneginf(array)
        if bad.any():
            text = say(
                "{id}: NaN or infinity in {stage}: {cells}",
                id=record.id,
                stage=stage,
                cells=_bad_cells(record, stage, bad),
            )
            yield Finding("warning", text + (_cause(record) if stage == "weights" else ""))


def _bad_cells(record: Record, stage: str, bad: Bool) -> str:
    """The rows in which every visible cell is bad, then other cells."""
    names: list[str] = []
    count = 0
    if stage in MATRICES and bad.shape[-1] > 1:
        seen_bad = bad if record.mask is None else bad | ~record.mask
        rows = np.asarray(seen_bad.all(-1) & bad.any(-1))
        names = [
            say("head {head} row {row} (all keys)", head=head, row=row)
            for head, row in np.argwhere(rows)[:LISTED]
        ]
        count, bad = int(rows.sum()), bad & ~rows[..., None]
    names += [_cell(stage, index) for index in np.argwhere(bad)[: LISTED - len(names)]]
    more = count + int(bad.sum()) - len(names)
    return _joined(names, more)


def _cause(record: Record) -> str:
    """What makes weights NaN, as far as it is known; of a plain file, what the user may know."""
    assert record.weights is not None
    nan = np.isnan(record.weights)
    if record.id.block == ARRAY:
        return say("; if NaN stands for masked cells: --nan masked") if nan.any() else ""
    dtype = record.weights.dtype
    if record.scores is not None and not np.isfinite(record.scores[nan]).all():
        return say("; the scores of these rows are beyond the range of {dtype}", dtype=dtype)
    return say("; scores beyond the range of {dtype} cause this", dtype=dtype) if nan.any() else ""


def _cell(stage: str, index: Array) -> str:
    names = {
        2: (say("row"), say("column")),
        3: (say("head"), say("row"), say("column")),
    }.get(len(index), ())
    if stage in ("q", "k", "v", "context") and len(index) == 3:
        names = (say("head"), say("position"), say("dimension"))
    return " ".join(f"{name} {i}" for name, i in zip(names, index, strict=False))


def _empty_rows(record: Record) -> Iterable[Finding]:
    assert record.weights is not None
    if record.mask is None:
        zero = ~record.weights.any(-1)
        if zero.any():
            heads, rows = np.nonzero(zero)
            text = _listing(
                [
                    say("head {head} row {row}", head=h, row=r)
                    for h, r in zip(heads, rows, strict=True)
                ]
            )
            message = say("{id}: rows whose weights are all zero: {rows}", id=record.id, rows=text)
            yield Finding("warning", message)
        return
    empty = ~record.mask.any(-1)
    if empty.any():
        rows = np.unique(np.nonzero(empty)[-1])
        yield _no_key(record, rows.tolist(), len(rows))


def _masked_weights(record: Record) -> Iterable[Finding]:
    """A mask that the weights do not keep: no softmax gives a masked key anything."""
    if record.mask is None or record.weights is None:
        return
    against = ~record.mask & (record.weights != 0)
    if against.any():
        shares = np.where(against, np.nan_to_num(np.abs(record.weights), nan=np.inf), 0)
        head, row, key = np.unravel_index(shares.argmax(), shares.shape)
        n_masked = int(np.broadcast_to(~record.mask, against.shape).sum())
        yield Finding(
            "warning",
            f"{record.id}: {int(against.sum())} of {n_masked} masked cells have a weight; the "
            f"largest is {record.weights[head, row, key]:.4g}, head {head} query {row} key {key}",
        )


def _rows_off_one(records: Sequence[Record]) -> Iterable[Finding]:
    """Only sums that are neither 1 nor, for a row without keys, 0."""
    for record in records:
        assert record.weights is not None
        if not record.site.sinks:
            yield from _off_one(record, record.weights)
        if (record.weights < 0).any():
            text = say("{id}: negative weights: are these scores?", id=record.id)
            yield Finding("warning", text)


def _off_one(record: Record, weights: Array) -> Iterable[Finding]:
    tolerance = ROW_SUM_TOLERANCE.get(weights.dtype.itemsize, 1e-4)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = weights.sum(-1, dtype=np.float64)
        far = np.where(weights.any(-1), np.abs(sums - 1), 0)
    off = far > tolerance
    if off.any() and _is_half(weights):
        off = far > ROW_SUM_TOLERANCE[2]
    if off.any():
        head, row = np.unravel_index(np.where(off, far, 0).argmax(), far.shape)
        yield Finding(
            "warning",
            say(
                "{id}: {count} of {n} rows do not sum to 1; head {head} row {row} sums to {sum}",
                id=record.id,
                count=int(off.sum()),
                n=off.size,
                head=head,
                row=row,
                sum=_not_one(float(sums[head, row])),
            ),
        )


def _is_half(weights: Array) -> bool:
    """Whether weights were rounded to half precision, be it that they were widened since."""
    from attnviz.trace.dtypes import true_type

    return true_type(weights) in ("bfloat16", "float16")


def _not_one(value: float) -> str:
    """With as many digits, four at least, as it takes to see that it is not 1."""
    texts = (f"{value:.{digits}g}" for digits in range(4, 18))
    return next((text for text in texts if float(text) != 1), repr(value))


def _no_distributions(
    records: Sequence[Record], selection: Selection, facts: Mapping[RecordId, Facts]
) -> Iterable[Finding]:
    """Of which heads nothing can be measured."""
    heads = [
        Head(record.id, head)
        for record in records
        for head in selection.heads(record)
        if not facts[record.id].good[_at(record, head)]
    ]
    if heads:
        alike = len({head.id.group for head in heads}) == 1
        names = _listing([head.short if alike else str(head) for head in heads])
        yield Finding(
            "warning",
            say(
                "rows are not distributions over the keys, so no statistics are given for these "
                "heads: {names}",
                names=names,
            ),
        )


def _sink(
    trace: Trace, records: Sequence[Record], selection: Selection, facts: Mapping[RecordId, Facts]
) -> Finding | None:
    """A key that takes much of everything, over all selected heads that share its stream and have
    rows that are distributions."""
    left_out = False
    by_stream: dict[str, list[tuple[Array, Array]]] = {}
    for record in records:
        for head in selection.heads(record):
            own = facts[record.id]
            at = _at(record, head)
            if own.good[at]:
                by_stream.setdefault(record.keys, []).append((own.received[at], own.even[at]))
            else:
                left_out = True
    for stream, heads in by_stream.items():
        got, even = (np.mean([pair[i] for pair in heads], axis=0) for i in (0, 1))
        if got.size < 2:
            continue
        key = int(got.argmax())
        if got[key] > max(SINK_SHARE, 2 * even[key]):
            label = trace.streams[stream].labels[key]
            which = say("the first token") if key == 0 else say("token {key}", key=key)
            shares = {"share": f"{got[key]:.0%}", "even": f"{even[key]:.0%}"}
            return Finding(
                "note",
                say(
                    "sink: {which} ({label}) takes {share} of all weights of the other heads shown "
                    "({even} if spread evenly)",
                    which=which,
                    label=label,
                    **shares,
                )
                if left_out
                else say(
                    "sink: {which} ({label}) takes {share} of all weights of the heads shown "
                    "({even} if spread evenly)",
                    which=which,
                    label=label,
                    **shares,
                ),
            )
    return None


def _at(record: Record, head: int) -> int:
    """Where the numbers of a head stand."""
    return head if record.weights is not None else record.summary.heads.index(head)  # type: ignore[union-attr]


def _listing(items: list[str]) -> str:
    return _joined(items[:8], len(items) - 8)


def _joined(items: list[str], more: int) -> str:
    text = ", ".join(items)
    return say("{items} and {more} more", items=text, more=more) if more > 0 else text
