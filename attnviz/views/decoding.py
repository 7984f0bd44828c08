"""What a decoder wrote, and where it looked as it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.decoding import (
    CACHE_TOLERANCE,
    alignment_head,
    cache_error,
    is_named_to_align,
    is_trained_to_align,
    most_informative_of_last_layer,
    strongest_key,
    weights_after,
    weights_as_written,
)
from attnviz.errors import AttnvizError
from attnviz.language import say, to_say
from attnviz.nn.paged import PagedCache
from attnviz.nn.tile_readers import Block
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
)
from attnviz.views.figure import head_pictures
from attnviz.views.kinds import WEIGHTS, Axis, Grid, Heatmap, Line, Links, Table, Text, Value, View
from attnviz.views.matrices import heard, part_of_axis, token_axis, zoom_notes
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
    every_head: bool = False,
) -> list[View]:
    """The text, each token with its probability, all attention, the alignment.

    Args:
        text: what the written tokens read as.
        every_head: as for `attention_views`.
    """
    first, *rest = header(trace).lines
    lines = (
        first,
        _wrote(generated, text),
        *_rules(generated),
        *rest,
        *_paged(generated),
        *_checked(trace, generated),
    )
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
        views += attention_views(trace, selection, top=top, every_head=every_head)[1:]
        views.append(_table(trace, generated, None))
        return views
    views += alignment_views(trace, generated, selection, *head)
    views.append(_table(trace, generated, head))
    records = [record for record in trace if selection.covers(record)]
    scale = stage_scale(records, "weights")
    views += overviews(
        trace, records, selection, "weights", scale, every_head=every_head, zoom=heard(trace)
    )
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
    source = token_axis(to_say("source"), trace.streams[record.keys])
    target = replace(
        token_axis(to_say("written"), generated.written),
        special=frozenset(),
        first=generated.n_given,
    )
    keys = heard(trace).block(trace.streams[record.queries], trace.streams[record.keys]).keys
    block = Block(np.arange(len(weights)), keys)
    shape, weights = weights.shape, weights[:, keys]
    source = part_of_axis(source, keys)
    part = zoom_notes(block, shape, weights)
    note = say("each row: where the model looked when it wrote that token")
    why = (
        say("the sharpest of the selected heads: the one with the lowest entropy")
        if selection.clauses
        else say("the sharpest head of cross-attention: the one with the lowest entropy")
    )
    if is_named_to_align(trace, record, head):
        why = say("the sharpest of the heads that the checkpoint names for alignment")
    if is_trained_to_align(trace, record, head):
        why = say("this head was trained to look at the word that is being translated")
    return [
        Links(
            say("alignment") + f" · {name}",
            weights,
            target,
            source,
            notes=(why, *part),
            name="alignment-links",
        ),
        Heatmap(
            say("alignment") + f" · {name} · " + say("weights"),
            weights,
            target,
            source,
            notes=(note, *part),
            pooling="mass",
            name="alignment",
        ),
    ]


def _wrote(generated: Generated, text: str) -> Line:
    n_step = len(generated.steps)
    how = "" if generated.ended else " … " + say("stopped after {n} tokens", n=n_step)
    text = label(text.strip(" ") or text) if text else say("nothing but the end")
    return Line(f"{text}{how}", say("wrote"), "head")


MANY_IDS = 4
"""More ids than so many are counted, not named."""


def _rules(generated: Generated) -> tuple[Line, ...]:
    """By which rules of the checkpoint it wrote, and what else it asks for."""
    lines = []
    if generated.rules:
        rules = ", ".join(f"{name} {_value(value)}" for name, value in generated.rules.items())
        changed = sum(step.instead_of is not None for step in generated.steps)
        text = say("{rules}, from {file}", rules=rules, file=generated.rules_file) + "; "
        if changed == 1:
            text += say("1 token is not the most probable one")
        elif changed:
            text += say("{n} tokens are not the most probable ones", n=changed)
        else:
            text += say("every token is still the most probable one")
        lines.append(Line(text, say("rules")))
    if generated.not_done:
        asks = ", ".join(generated.not_done)
        text = say("{file} asks for {asks}; decoding here is greedy",
                   file=generated.rules_file, asks=asks)  # fmt: skip
        lines.append(Line(text, "" if generated.rules else say("rules"), "note"))
    return tuple(lines)


def _value(value: Any) -> str:
    """The value of a rule; of many ids how many there are."""
    if not isinstance(value, list):
        return str(value)
    if len(value) > MANY_IDS:
        return f"({len(value)})"
    return f"[{', '.join(map(_value, value))}]"


def _paged(generated: Generated) -> tuple[Line, ...]:
    cache = generated.cache
    if not isinstance(cache, PagedCache):
        return ()
    pool = cache.pool
    text = say(
        "{n_used} of {n_block} blocks of {size} tokens hold {n_token} tokens; {n_empty} places are "
        "empty",
        n_used=pool.n_used,
        n_block=pool.n_block,
        size=pool.block_size,
        n_token=cache.n_token,
        n_empty=cache.n_empty,
    )
    return (Line(text, say("cache")),)


def _checked(trace: Trace, generated: Generated) -> tuple[Line, ...]:
    first = generated.first_step
    steps = [step.records for step in generated.steps[first:]]
    error = cache_error(trace, generated.n_given + first, steps)
    if error is None:
        return ()
    since = ""
    if first:
        since = "; " + say("from step {n} on, as longer texts are rotated differently", n=first)
    if not error <= CACHE_TOLERANCE:  # also if it is not a number
        text = say(
            "the weights of the single steps differ from those of one whole pass by {error:.1e}",
            error=error,
        )
        return (Line(text + _which(trace) + since, say("warning"), "warning"),)
    text = say(
        "the weights of the single steps are those of one whole pass, within {error:.1e}",
        error=error,
    )
    return (Line(text + _which(trace) + since, say("checked")),)


def _which(trace: Trace) -> str:
    ids = [record.id for record in trace if record.id.block == "decoder"]
    return f" ({', '.join(ids)})" if len(ids) < 3 else ""


def _table(trace: Trace, generated: Generated, head: tuple[Record, int] | None) -> Table:
    """A line a step: what was read, what was written, how sure, and where it looked."""
    stream = trace.streams["target" if "target" in trace.streams else "source"]
    rows: list[tuple[Value, ...]] = []
    best = generated.most_probable
    for number, step in enumerate(generated.steps):
        position = generated.n_given - 1 + number
        row: tuple[Value, ...] = (
            number,
            f"{position} {stream.labels[position]}",
            generated.written.labels[number],
            probability_text(step.probability),
        )
        if best is not None:
            row = (*row, "" if step.instead_of is None else best.labels[number])
        if head is not None:
            key, weight = strongest_key(*head, position)
            row = (*row, f"{key} {trace.streams[head[0].keys].labels[key]} ({weight:.2f})")
        rows.append(row)
    columns: tuple[str, ...] = (say("step"), say("reads"), say("writes"), say("probability"))
    if best is not None:
        columns = (*columns, say("ruled out"))
    if head is not None:
        columns = (*columns, say("{head} looks at", head=f"{head[0].id} H{head[1]}"))
    return Table(say("step by step"), columns, tuple(rows))


def _steps(trace: Trace, generated: Generated, record: Record, head: int) -> list[View]:
    """The matrices after every step, from the rows that the cached steps themselves computed."""
    stream = trace.streams[record.queries]
    own_id = record.id.replace("cross", "self")
    queries, keys = (
        token_axis(to_say("query"), stream),
        token_axis(to_say("key"), trace.streams[record.keys]),
    )
    views: list[View] = [
        Text(
            (
                Line(
                    say("head {head} of {id}; -s picks another", head=head, id=record.id),
                    say("shown"),
                ),
            )
        )
    ]
    for number, step in enumerate(generated.steps):
        last = generated.n_given + number - 1
        text = say(
            "reads {position} {read}, writes {written} with probability {probability}",
            position=last,
            read=stream.labels[last],
            written=generated.written.labels[number],
            probability=probability_text(step.probability),
        )
        views.append(Text((Line(text, say("step {n}", n=number), "head"),)))
        own_keys = replace(queries, name=say("key"))
        views.append(_step_heatmap(generated, number, own_id, head, queries, own_keys))
        if record.kind == "cross":
            views.append(_step_heatmap(generated, number, record.id, head, queries, keys))
    return views


def _step_heatmap(
    generated: Generated, number: int, id: str, head: int, queries: Axis, keys: Axis
) -> Heatmap:
    weights = weights_after(generated, number + 1, id, head)
    first, n_k = weights.first, weights.values.shape[1]
    last = first + len(weights.values)
    return Heatmap(
        say("step {n}", n=number) + f" · {id} H{head}",
        weights.values,
        replace(queries, labels=queries.labels[first:last], first=first),
        replace(keys, labels=keys.labels[:n_k]),
        WEIGHTS,
        weights.masked,
        weights.reasons,
    )
