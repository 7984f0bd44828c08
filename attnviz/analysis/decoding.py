"""Where a decoder looked as it wrote, and whether its cache computed what one whole pass does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.informative import head_information, information_of_heads, most_informative
from attnviz.nn.types import Array, brief
from attnviz.trace.generation import Generated, Step
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Head, Selection

CACHE_TOLERANCE = 1e-4
"""Float32 rounds differently when rows are computed one by one."""

NOT_READ = "not read yet"


def alignment_head(trace: Trace, selection: Selection) -> tuple[Record, int] | None:
    """The head of cross-attention that the model was trained to align with, or the sharpest one,
    that of the lowest entropy, of those that the checkpoint names for it, or of all; None if none
    is selected."""
    heads = [
        (record, head)
        for record in trace
        if record.kind == "cross" and selection.covers(record)
        for head in selection.heads(record)
    ]
    for record, head in heads:
        if is_trained_to_align(trace, record, head):
            return record, head
    heads = [pair for pair in heads if is_named_to_align(trace, *pair)] or heads
    return min(heads, key=lambda pair: head_information(*pair).entropy, default=None)


def is_trained_to_align(trace: Trace, record: Record, head: int) -> bool:
    return trace.model.alignment_head == str(Head(record.id, head))


def is_named_to_align(trace: Trace, record: Record, head: int) -> bool:
    """Whether the checkpoint names the head as one that aligns."""
    return str(Head(record.id, head)) in trace.model.alignment_heads


def most_informative_of_last_layer(trace: Trace, selection: Selection) -> tuple[Record, int] | None:
    """A head of the last layer of the decoder that is selected; None if none is."""
    records = [r for r in trace if r.id.block == "decoder" and selection.covers(r)]
    last = [record for record in records if record.layer == records[-1].layer]
    best = most_informative(information_of_heads(last, selection), 1)
    return (trace[best[0].id], best[0].head) if best else None


def weights_as_written(generated: Generated, record: Record, head: int) -> Array:
    """The rows of a head that wrote something, [n_written, n_k]."""
    return np.asarray(_rows(record, generated.n_given - 1, None)[_place(record, head)])


def strongest_key(record: Record, head: int, query: int) -> tuple[int, float]:
    """The key with the largest weight in one row, and that weight."""
    weights = _rows(record, query, query + 1)[_place(record, head), 0]
    key = int(weights.argmax())
    return key, float(weights[key])


def _rows(record: Record, start: int, stop: int | None) -> Array:
    """The weights of some queries, [n_head, n_row, n_k]; of a record that was summarised, from the
    block of those that wrote something, of the heads that it has."""
    if record.summary is None:
        return record.stage("weights")[:, start:stop]
    rows, block = record.summary.rows, record.summary.block
    assert rows is not None
    assert block is not None
    wanted = rows >= start if stop is None else (rows >= start) & (rows < stop)
    return np.asarray(block[:, wanted])


def _place(record: Record, head: int) -> int:
    """Where a head is in `_rows`."""
    return head if record.summary is None else record.summary.heads.index(head)


class StepWeights(NamedTuple):
    """A head's weights after some steps, from the rows that each step itself computed."""

    first: int
    """The query of the first row: 0, or of a long prompt its last token."""

    values: Array
    """[n_read, n_k]; 0 where nothing was read yet."""
    masked: Array
    """[n_read, n_k]: 0 = visible, i = masked for the i-th of `reasons` counted from 1."""
    reasons: tuple[str, ...]

    def __repr__(self) -> str:
        return brief(self)


def weights_after(generated: Generated, n_step: int, id: str, head: int) -> StepWeights:
    """The weights of one head after `n_step` steps: every row as it was computed first and kept.

    Self-attention is square: the keys that a row could not see yet are masked as not read.
    """
    steps = generated.steps[:n_step]
    n_read = generated.n_given + n_step - 1
    last = _record(steps[-1], id)
    n_k = n_read if last.kind == "self" else last.stage("weights").shape[-1]
    reasons = (*last.site.mask, NOT_READ)
    first = generated.n_given - _record(steps[0], id).stage("weights").shape[-2]
    values = np.zeros((n_read - first, n_k))
    masked = np.full(values.shape, len(reasons), np.uint8)
    row = 0
    for number, step in enumerate(steps):
        record = _record(step, id)
        new = slice(-1 if number else -generated.n_given, None)
        weights, why = record.stage("weights")[head][new], record.reasons()
        cells = slice(row, row + len(weights)), slice(0, weights.shape[1])
        values[cells] = weights
        masked[cells] = 0 if why is None else (why[head] if why.ndim == 3 else why)[new]
        row += len(weights)
    return StepWeights(first, values, masked, reasons)


def _record(step: Step, id: str) -> Record:
    return next(record for record in step.records if record.id == id)


def cache_error(trace: Trace, n_given: int, steps: Sequence[Sequence[Record]]) -> float | None:
    """The largest difference between the weights of `trace`, computed in one pass, and those of
    the steps, whose records end with the row of the last token read: the last of the `n_given`
    first tokens, then one more a step. None if they have no attention in common."""
    in_one_pass = {record.id: record for record in trace}
    errors = []
    for number, records in enumerate(steps):
        stop = n_given + number
        for record in records:
            if record.id in in_one_pass:
                whole, rows = in_one_pass[record.id], record.stage("weights")
                same = _rows(whole, stop - rows.shape[1], stop)[..., : rows.shape[2]]
                rows = rows if whole.summary is None else rows[list(whole.summary.heads)]
                errors.append(float(np.abs(rows - same).max(initial=0)))
    return float(np.max(errors)) if errors else None  # one that is not a number stays so
