"""What a decoder wrote, and where it looked as it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attnviz.analysis.decoding import (
    CACHE_TOLERANCE,
    alignment_head,
    cache_error,
    is_trained_to_align,
    most_informative_of_last_layer,
    strongest_key,
    weights_after,
    weights_as_written,
)
from attnviz.errors import AttnvizError
from attnviz.nn.paged import PagedCache
from attnviz.tokens import label
from attnviz.trace.generation import Generated
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection
from attnviz.views.attention import (
    attention_views,
    findings_text,
    header,
    overviews,
    stage_scale,
    token_axis,
)
from attnviz.views.figure import head_pictures
from attnviz.views.kinds import WEIGHTS, Axis, Grid, Heatmap, Line, Links, Table, Text, Value, View
from attnviz.views.naming import pictures
from attnviz.views.numbers import probability_text


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
        shown = head or most_informative_of_last_layer(trace, selection)
        if shown is None:
            raise AttnvizError(
                "the selection has none of the decoder's attention", "-s decoder.1.self"
            )
        return views + _steps(trace, generated, *shown)
    if head is None:
        views += attention_views(trace, selection, top=top)[1:]
        views.append(_table(trace, generated, None))
        return views
    views += alignment_views(trace, generated, selection, *head)
    views.append(_table(trace, generated, head))
    records = [record for record in trace if selection.covers(record)]
    views += overviews(trace, records, selection, "weights", stage_scale(records, "weights"))
    if findings := findings_text(trace, selection):
        views.append(findings)
    return views


def plotted_views(trace: Trace, selection: Selection, views: Sequence[View]) -> Sequence[View]:
    """The one picture of a decoding: the alignment if there is one, else the selected heads; of
    steps, all of them."""
    drawn = pictures(views)
    if any(isinstance(view, Heatmap) and view.name == "alignment" for view in drawn):
        return [view for view in drawn if view.name == "alignment"]
    if any(isinstance(view, Grid) for view in drawn):
        return head_pictures(trace, selection)
    return drawn


def alignment_views(
    trace: Trace, generated: Generated, selection: Selection, record: Record, head: int
) -> list[View]:
    """Each written token and the source tokens that were looked at when it was written."""
    weights = weights_as_written(generated, record, head)
    name = f"{record.id} L{record.layer}.H{head}"
    source = token_axis("source", trace.streams[record.keys])
    target = replace(
        token_axis("written", generated.written), special=frozenset(), first=generated.n_given
    )
    note = "a row is what was looked at when its token was written, before it was read"
    among = "of the selected heads" if selection.clauses else "head of cross-attention"
    why = f"the sharpest {among}: that of the lowest entropy"
    if is_trained_to_align(trace, record, head):
        why = "this head was trained to look where a word comes from"
    return [
        Links(f"alignment · {name}", weights, target, source, notes=(why,), name="alignment-links"),
        Heatmap(
            f"alignment · {name} · weights",
            weights,
            target,
            source,
            notes=(note,),
            pooling="mass",
            name="alignment",
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
    text = (
        f"{pool.n_used} of {pool.n_block} blocks of {pool.block_size} tokens hold "
        f"{cache.n_token} tokens; {cache.n_empty} places are empty"
    )
    return (Line(text, "cache"),)


def _checked(trace: Trace, generated: Generated) -> tuple[Line, ...]:
    first = generated.first_step
    steps = [step.records for step in generated.steps[first:]]
    error = cache_error(trace, generated.n_given + first, steps)
    if error is None:
        return ()
    since = f", from step {first} on: longer texts are rotated otherwise" if first else ""
    weights = f"the steps' weights{_which(trace)}"
    if not error <= CACHE_TOLERANCE:  # also if it is not a number
        text = f"{weights} differ from those of one whole pass by {error:.1e}{since}"
        return (Line(text, "warning", "warning"),)
    text = (
        f"the steps' weights are those of one whole pass{_which(trace)}, within {error:.1e}{since}"
    )
    return (Line(text, "checked"),)


def _which(trace: Trace) -> str:
    ids = [record.id for record in trace if record.id.block == "decoder"]
    return f" ({', '.join(ids)})" if len(ids) < 3 else ""


def _table(trace: Trace, generated: Generated, head: tuple[Record, int] | None) -> Table:
    """A line a step: what was read, what was written, how sure, and where it looked."""
    stream = trace.streams["target" if "target" in trace.streams else "source"]
    rows: list[tuple[Value, ...]] = []
    for number, step in enumerate(generated.steps):
        position = generated.n_given - 1 + number
        row: tuple[Value, ...] = (
            number,
            f"{position} {stream.labels[position]}",
            generated.written.labels[number],
            probability_text(step.probability),
        )
        if head is not None:
            key, weight = strongest_key(*head, position)
            row = (*row, f"{key} {trace.streams[head[0].keys].labels[key]} ({weight:.2f})")
        rows.append(row)
    columns = ("step", "reads", "writes", "probability")
    looks = () if head is None else (f"{head[0].id} H{head[1]} looks at",)
    return Table("step by step", (*columns, *looks), tuple(rows))


def _steps(trace: Trace, generated: Generated, record: Record, head: int) -> list[View]:
    """The matrices after every step, from the rows that the cached steps themselves computed."""
    stream = trace.streams[record.queries]
    own_id = record.id.replace("cross", "self")
    queries, keys = token_axis("query", stream), token_axis("key", trace.streams[record.keys])
    views: list[View] = [Text((Line(f"head {head} of {record.id}; -s picks another", "shown"),))]
    for number, step in enumerate(generated.steps):
        last = generated.n_given + number - 1
        text = (
            f"reads {last} {stream.labels[last]}, writes {generated.written.labels[number]} "
            f"with probability {probability_text(step.probability)}"
        )
        views.append(Text((Line(text, f"step {number}", "head"),)))
        own_keys = replace(queries, name="key")
        views.append(_step_heatmap(generated, number, own_id, head, queries, own_keys))
        if record.kind == "cross":
            views.append(_step_heatmap(generated, number, record.id, head, queries, keys))
    return views


def _step_heatmap(
    generated: Generated, number: int, id: str, head: int, queries: Axis, keys: Axis
) -> Heatmap:
    weights = weights_after(generated, number + 1, id, head)
    n_read, n_k = weights.values.shape
    return Heatmap(
        f"step {number} · {id} H{head}",
        weights.values,
        replace(queries, labels=queries.labels[:n_read]),
        replace(keys, labels=keys.labels[:n_k]),
        WEIGHTS,
        weights.masked,
        weights.reasons,
    )
