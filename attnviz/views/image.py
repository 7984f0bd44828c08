"""A vision model's attention over the image, and beside it what its answer depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attnviz.nn.types import Array
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection
from attnviz.views.attention import found_text, header
from attnviz.views.kinds import Line, Picture, Scale, Table, Text, View, around_zero

ANSWERS = 3

MOST_MAPS = 24
"""Heads that are shown one by one, unless they were chosen."""

Maps = Mapping[int, Array]
"""By head: its weights, [n_token]."""


def image_views(
    trace: Trace,
    selection: Selection,
    image: Array,
    patches: tuple[int, int],
    *,
    query: int = 0,
    probabilities: Array | None = None,
    answer: Sequence[View] = (),
) -> list[View]:
    """The model, its answer, where a token looks, and what the answer hangs on.

    Args:
        image: [height, width] or [height, width, 3], 0 to 1. patches: rows and columns.
        query: the token whose attention is shown; 0 is the class token.
        probabilities: [n_class], of a model that classifies.
        answer: what is to be seen of the answer's reasons.
    """
    top = header(trace)
    rest = tuple(line for line in top.lines[1:] if line.term != "tokens")  # names of patches
    first, best = _answer(trace, probabilities)
    views: list[View] = [
        Text((top.lines[0], *first, *rest)),
        *best,
        *_attention(trace, selection, image, patches, query),
        *answer,
    ]
    if text := found_text(trace, selection):
        views.append(text)
    return views


def slope_picture(image: Array, slopes: Array, answer: str) -> Picture:
    """How steeply the answer's logit changes with each pixel: slopes [height, width], from 0."""
    return Picture(
        f"what the answer {answer} hangs on: |∂ logit / ∂ pixel|",
        image,
        ((slopes,),),
        ("",),
        ("saliency",),
        Scale(0.0, float(slopes.max())),
        ("by central differences; not attention: a pixel may matter where no head looks",),
    )


def drop_picture(image: Array, drops: Array, answer: str) -> Picture:
    """How far the answer's logit drops without each patch: drops [row, column]."""
    return Picture(
        f"what the answer {answer} hangs on: how far its logit drops without a patch",
        image,
        ((drops,),),
        ("",),
        ("saliency",),
        around_zero(drops),
        (
            "by giving each patch the image's mean colour; below 0, the logit rises without it",
            "not attention: a patch may matter where no head looks",
        ),
    )


def _answer(trace: Trace, probabilities: Array | None) -> tuple[list[Line], list[View]]:
    if probabilities is None:
        return [Line("none: the model has no classifier", "answer", "note")], []
    names = trace.model["outputs"]
    order = np.argsort(-probabilities, kind="stable")[:ANSWERS]
    rows = tuple((names[i], float(probabilities[i])) for i in order)
    text = f"{rows[0][0]}, with probability {rows[0][1]:.3f}"
    return [Line(text, "answer", "head")], [
        Table("the most probable", ("class", "probability"), rows)
    ]


def _attention(
    trace: Trace, selection: Selection, image: Array, patches: tuple[int, int], query: int
) -> list[View]:
    """Each head's map if they were chosen or are few, else the mean of each layer and the heads of
    the last."""
    records = [record for record in trace if selection.covers(record)]
    heads = [_rows(record, selection, query) for record in records]
    who = "the class token" if query == 0 else f"patch {trace.streams['source'].labels[query]}"
    looks = f"where {who} looks: attention"
    if selection.clauses or sum(map(len, heads)) <= MOST_MAPS:
        note = _undrawn(heads, query)
        return [_by_head(f"{looks}, by layer and head", image, patches, records, heads, note)]
    shown = (
        f"{len(records)} layers with {len(heads[0])} heads each: shown are the mean of each "
        f"layer's heads, and the heads of L{records[-1].layer}; -s L0-2 or -s L5.H3 shows others"
    )
    means = [{0: np.mean(list(rows.values()), axis=0)} for rows in heads]
    return [
        Picture(
            f"{looks}, the mean of each layer's heads",
            image,
            (tuple(_map(rows[0], patches) for rows in means),),
            ("",),
            tuple(f"L{record.layer}" for record in records),
            _scale(means)._replace(by="map"),
            (_undrawn(means, query), _largest(records, means), shown),
        ),
        _by_head(
            f"{looks}, by head of the last layer",
            image,
            patches,
            records[-1:],
            heads[-1:],
            _undrawn(heads[-1:], query),
        ),
    ]


def _by_head(
    title: str,
    image: Array,
    patches: tuple[int, int],
    records: Sequence[Record],
    heads: Sequence[Maps],
    note: str,
) -> Picture:
    """A row for each layer, a column for each head of any."""
    columns = sorted({head for rows in heads for head in rows})
    return Picture(
        title,
        image,
        tuple(
            tuple(_map(rows[head], patches) if head in rows else None for head in columns)
            for rows in heads
        ),
        tuple(f"L{record.layer}" for record in records),
        tuple(f"H{head}" for head in columns),
        _scale(heads),
        (note,),
    )


def _rows(record: Record, selection: Selection, query: int) -> Maps:
    weights = record.stage("weights")
    return {head: weights[head, query] for head in selection.heads(record)}


def _map(weights: Array, patches: tuple[int, int]) -> Array:
    """[n_token] -> [row, column], without the class token."""
    return weights[1:].reshape(patches)


def _scale(heads: Sequence[Maps]) -> Scale:
    return Scale(0.0, max(float(row[1:].max()) for rows in heads for row in rows.values()))


def _largest(records: Sequence[Record], maps: Sequence[Maps]) -> str:
    """How much the same colour means in each of several maps."""
    ends = (
        f"L{record.layer} {max(float(row[1:].max()) for row in rows.values()):.2g}"
        for record, rows in zip(records, maps, strict=True)
    )
    return f"each map has a scale of its own, from 0 to: {', '.join(ends)}"


def _undrawn(heads: Sequence[Maps], query: int) -> str:
    share = float(np.mean([row[0] for rows in heads for row in rows.values()]))
    if query == 0:
        return f"the class token looks at itself with {share:.0%} on average, which is not drawn"
    return f"it looks at the class token with {share:.0%} on average, which is not drawn"
