"""What a decoder wrote, and where it looked as it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attnviz.analysis.caching import cache_error
from attnviz.analysis.informative import head_information, information_of_heads, most_informative
from attnviz.errors import AttnvizError
from attnviz.nn.paged import PagedCache
from attnviz.nn.types import Array
from attnviz.tokens import label
from attnviz.trace.generation import Generated, Step
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection
from attnviz.views.attention import (
    attention_views,
    found_text,
    header,
    overviews,
    stage_scale,
    token_axis,
)
from attnviz.views.kinds import WEIGHTS, Axis, Heatmap, Line, Links, Table, Text, Value, View

ALLOWED = 1e-4
"""Float32 rounds differently when rows are computed one by one."""


def decoding_views(
    trace: Trace,
    selection: Selection,
    generated: Generated,
    text: str,
    *,
    top: int,
    steps: bool,
) -> list[View]:
    """The text, each token with its probability, all attention, the alignment.

    Args:
        text: what the written tokens read as.
    """
    first, *rest = header(trace).lines
    lines = (first, _wrote(generated, text), *rest, *_paged(generated), *_checked(trace, generated))
    views: list[View] = [Text(lines)]
    head = alignment_head(trace, selection)
    if steps:
        return views + _steps(trace, generated, *(head or _telling(trace, selection)))
    if head is None:
        views += attention_views(trace, selection, top=top)[1:]
        views.append(_table(trace, generated, None))
        return views
    views += alignment_views(trace, generated, selection, *head)
    views.append(_table(trace, generated, head))
    records = [record for record in trace if selection.covers(record)]
    views += overviews(trace, records, selection, "weights", stage_scale(records, "weights"))
    if found := found_text(trace, selection):
        views.append(found)
    return views


def alignment_head(trace: Trace, selection: Selection) -> tuple[Record, int] | None:
    """The head of cross-attention that the model was trained to align with, or the sharpest
    one: that of the lowest entropy; None if none is selected."""
    told = str(trace.model.get("alignment_head", ""))
    heads = [
        (head_information(record, head).entropy, record, head)
        for record in trace
        if record.kind == "cross" and selection.covers(record)
        for head in selection.heads(record)
    ]
    if not heads:
        return None
    for _, record, head in heads:
        if told == f"{record.id}.H{head}":
            return record, head
    _, record, head = min(heads, key=lambda each: each[0])
    return record, head


def _telling(trace: Trace, selection: Selection) -> tuple[Record, int]:
    """The most telling selected head of the decoder's self-attention, of its last layer."""
    records = [r for r in trace if r.id.startswith("decoder") and selection.covers(r)]
    if not records:
        raise AttnvizError("the selection has none of the decoder's attention", "-s decoder.1.self")
    last = [r for r in records if r.layer == records[-1].layer]
    facts = most_informative(information_of_heads(last, selection), 1)[0]
    return trace[facts.id], facts.head


def alignment_views(
    trace: Trace, generated: Generated, selection: Selection, record: Record, head: int
) -> list[View]:
    """Each written token and the source tokens that were looked at when it was written."""
    weights = _rows(record, head, generated)
    name = f"{record.id} L{record.layer}.H{head}"
    source = token_axis("source", trace.streams[record.keys])
    target = replace(
        token_axis("written", generated.written), special=frozenset(), first=generated.n_given
    )
    note = "a row is what was looked at when its token was written, before it was read"
    among = "of the selected heads" if selection.clauses else "head of cross-attention"
    why = f"the sharpest {among}: that of the lowest entropy"
    if trace.model.get("alignment_head") == f"{record.id}.H{head}":
        why = "this head was trained to look where a word comes from"
    return [
        Links(f"alignment · {name}", weights, target, source, notes=(why,)),
        Heatmap(
            f"alignment · {name} · weights",
            weights,
            target,
            source,
            notes=(note,),
            pooling="mass",
        ),
    ]


def _wrote(generated: Generated, text: str) -> Line:
    how = "" if generated.ended else f" … stopped after {len(generated.steps)} tokens"
    text = label(text.strip(" ") or text) if text else "nothing but the end"
    return Line(f"{text}{how}", "wrote", "head")


def _paged(generated: Generated) -> tuple[Line, ...]:
    cache = generated.cache
    if not isinstance(cache, PagedCache):
        return ()
    pool = cache.pool
    told = (
        f"{pool.n_used} of {pool.n_block} blocks of {pool.block_size} tokens hold "
        f"{cache.n_token} tokens; {cache.n_empty} places are empty"
    )
    return (Line(told, "cache"),)


def _checked(trace: Trace, generated: Generated) -> tuple[Line, ...]:
    error = cache_error(trace, generated.n_given, [step.records for step in generated.steps])
    if error is None:
        return ()
    if not error <= ALLOWED:  # also if it is not a number
        told = (
            f"the steps' weights{_which(trace)} differ from those of one whole pass by {error:.1e}"
        )
        return (Line(told, "warning", "warning"),)
    some = "the steps' weights are those of one whole pass" + _which(trace)
    return (Line(f"{some}, within {error:.1e}", "checked"),)


def _which(trace: Trace) -> str:
    ids = [record.id for record in trace if record.id.startswith("decoder")]
    return f" ({', '.join(ids)})" if len(ids) < 3 else ""


def _table(trace: Trace, generated: Generated, head: tuple[Record, int] | None) -> Table:
    """A line a step: what was read, what was written, how sure, and where it looked."""
    stream = trace.streams["target" if "target" in trace.streams else "source"]
    rows: list[tuple[Value, ...]] = []
    for number, step in enumerate(generated.steps):
        place = generated.n_given - 1 + number
        row: tuple[Value, ...] = (
            number,
            f"{place} {stream.labels[place]}",
            generated.written.labels[number],
            probability_text(step.probability),
        )
        if head is not None:
            row = (*row, _most(trace, *head, place))
        rows.append(row)
    columns = ("step", "reads", "writes", "probability")
    looks = () if head is None else (f"{head[0].id} H{head[1]} looks at",)
    return Table("step by step", (*columns, *looks), tuple(rows))


def probability_text(value: float) -> str:
    """Four decimals; what is below 1 does not become 1."""
    return ">0.9999" if 0.99995 <= value < 1 else f"{value:.4f}"


def _most(trace: Trace, record: Record, head: int, row: int) -> str:
    weights = record.stage("weights")[head, row]
    place = int(weights.argmax())
    return f"{place} {trace.streams[record.keys].labels[place]} ({weights[place]:.2f})"


def _rows(record: Record, head: int, generated: Generated) -> Array:
    """The rows that wrote something, [n_written, n_k]."""
    return record.stage("weights")[head, generated.n_given - 1 :]


def _steps(trace: Trace, generated: Generated, record: Record, head: int) -> list[View]:
    """The matrices after every step, from the rows that the cached steps themselves computed."""
    stream, source = trace.streams[record.queries], trace.streams[record.keys]
    own_id = record.id.replace("cross", "self")
    has_cross = record.kind == "cross"
    views: list[View] = [Text((Line(f"head {head} of {record.id}; -s picks another", "shown"),))]
    for number, step in enumerate(generated.steps):
        n_read = generated.n_given + number
        done = generated.steps[: number + 1]
        axis = _first(token_axis("query", stream), n_read)
        last = n_read - 1
        views += [
            Text(
                (
                    Line(
                        f"reads {last} {stream.labels[last]}, writes "
                        f"{generated.written.labels[number]} "
                        f"with probability {probability_text(step.probability)}",
                        f"step {number}",
                        "head",
                    ),
                )
            ),
            _grown(f"step {number} · ", done, generated.n_given, own_id, head, axis),
        ]
        if has_cross:
            rows = [row for row, _ in _new_rows(done, generated.n_given, record.id, head)]
            columns = token_axis("key", source)
            title = f"step {number} · {record.id} H{head}"
            views.append(Heatmap(title, np.concatenate(rows), axis, columns, WEIGHTS))
    return views


def _new_rows(
    done: Sequence[Step], n_given: int, id: str, head: int
) -> list[tuple[Array, Array | None]]:
    """Of every step the weights of the tokens that it was the first to read, and why cells of
    them are masked."""
    rows = []
    for number, step in enumerate(done):
        record = next(each for each in step.records if each.id == id)
        reasons = record.reasons()
        if reasons is not None and reasons.ndim == 3:
            reasons = reasons[head]
        new = slice(-1 if number else -n_given, None)
        rows.append((record.stage("weights")[head][new], None if reasons is None else reasons[new]))
    return rows


def _grown(
    step: str, done: Sequence[Step], n_given: int, id: str, head: int, axis: Axis
) -> Heatmap:
    """Self-attention so far: masked by the model's own rules, and where nothing was read yet."""
    n = len(axis)
    record = next(each for each in done[-1].records if each.id == id)
    names = (*record.mask_names, "not read yet")
    values, masked = np.zeros((n, n)), np.full((n, n), len(names), np.uint8)
    row = 0
    for weights, reasons in _new_rows(done, n_given, id, head):
        place = slice(row, row + len(weights)), slice(0, weights.shape[1])
        values[place] = weights
        masked[place] = 0 if reasons is None else reasons
        row += len(weights)
    keys = replace(axis, name="key")
    title = f"{step}{id} H{head}"
    return Heatmap(title, values, axis, keys, WEIGHTS, masked, names)


def _first(axis: Axis, count: int) -> Axis:
    return replace(axis, labels=axis.labels[:count])
