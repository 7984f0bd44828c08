"""A vision model's attention over the image, and beside it what its answer depends on."""

from __future__ import annotations

import numpy as np

from attnviz.nn.types import Array
from attnviz.selection import Selection
from attnviz.trace import Trace
from attnviz.views.attention import found_text, header
from attnviz.views.kinds import Line, Picture, Scale, Table, Text, View

ANSWERS = 3


def image_views(
    trace: Trace,
    selection: Selection,
    image: Array,
    patches: tuple[int, int],
    probabilities: Array,
    saliency: Array,
) -> list[View]:
    """The answer, where the class token looks, and the pixels that the answer hangs on.

    Args:
        image: [height, width], 0 to 1. patches: rows and columns.
        probabilities: [n_class]. saliency: [height, width], not negative.
    """
    names = trace.model["outputs"]
    order = np.argsort(-probabilities)[:ANSWERS]
    best = names[order[0]]
    lines = [Line(f"{best}, with probability {probabilities[order[0]]:.3f}", "answer", "head")]
    rows = tuple((names[i], float(probabilities[i])) for i in order)
    top = header(trace)
    rest = (line for line in top.lines[1:] if line.term != "tokens")  # names of patches
    views: list[View] = [
        Text((top.lines[0], *lines, *rest)),
        Table("the most probable", ("class", "probability"), rows),
        *_attention(trace, selection, image, patches),
        Picture(
            f"what the answer {best} hangs on: |∂ logit / ∂ pixel|",
            image,
            ((saliency,),),
            ("",),
            ("saliency",),
            Scale(0.0, float(saliency.max())),
            ("by central differences; not attention: a pixel may matter where no head looks",),
        ),
    ]
    if text := found_text(trace, selection):
        views.append(text)
    return views


def _attention(
    trace: Trace, selection: Selection, image: Array, patches: tuple[int, int]
) -> list[View]:
    records = [record for record in trace if selection.covers(record)]
    shown = [
        {head: record.stage("weights")[head, 0] for head in selection.heads(record)}
        for record in records
    ]
    columns = sorted({head for heads in shown for head in heads})
    overlays = tuple(
        tuple(heads[head][1:].reshape(patches) if head in heads else None for head in columns)
        for heads in shown
    )
    rows = [row for heads in shown for row in heads.values()]
    largest = max(float(row[1:].max()) for row in rows)
    own = float(np.mean([row[0] for row in rows]))
    return [
        Picture(
            "where the class token looks: attention, by layer and head",
            image,
            overlays,
            tuple(f"L{record.layer}" for record in records),
            tuple(f"H{head}" for head in columns),
            Scale(0.0, largest),
            (f"the class token looks at itself with {own:.0%} on average, which is not drawn",),
        )
    ]
