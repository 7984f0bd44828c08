"""Scores or masks side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.analysis.comparison import SEED, Sharpness, Variant
from attnviz.language import say, to_say
from attnviz.nn.scores import SCORES
from attnviz.trace.record import Record, Trace
from attnviz.views.attention import header
from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    Curves,
    Heatmap,
    Line,
    Table,
    Text,
    Value,
    View,
    around_zero,
)
from attnviz.views.matrices import token_axis


def comparison_views(
    trace: Trace, record: Record, head: int, variants: Sequence[Variant], with_scores: bool
) -> list[View]:
    """For one head: (scores beside) weights of each, differences from the first; for all heads a
    table."""
    rows = token_axis(to_say("query"), trace.streams[record.queries])
    columns = token_axis(to_say("key"), trace.streams[record.keys])
    about = say("all variants have the same q and k: those of {head}", head=f"{record.id} H{head}")
    lines = [Line(about, say("compared"), "head")]
    if with_scores:
        lines += [Line(each, "", "note") for each in map(_untrained, variants) if each]
    views: list[View] = [header(trace), Text(tuple(lines))]
    scale = around_zero(*(variant.scores[head] for variant in variants))
    for variant in variants:
        if with_scores:
            title = say("{name} · scores", name=variant.name)
            views.append(
                Heatmap(title, variant.scores[head], rows, columns, scale, what=say("scores"),
                        group=variant.name)
            )  # fmt: skip
        group = variant.name if with_scores else ""
        views.append(_weights(variant, head, rows, columns)._replace(group=group))
    views += _differences(variants, head, rows, columns)
    views.append(_table(variants))
    return views


def _differences(
    variants: Sequence[Variant], head: int, rows: Axis, columns: Axis
) -> list[Heatmap]:
    """Of the weights from those of the first variant."""
    first, *others = variants
    differences = [other.change(first)[head] for other in others]
    scale = around_zero(*differences)
    drawn = []
    for other, difference in zip(others, differences, strict=True):
        both = other.hidden_in_both(first)
        note = (say("masked: hidden by both"),) if both is not None and both.any() else ()
        drawn.append(
            Heatmap(
                title=say("{name} - {first} · weights", name=other.name, first=first.name),
                values=difference,
                rows=rows,
                columns=columns,
                scale=scale,
                masked=both,
                reasons=first.mask_names,
                notes=note,
                what=say("difference"),
            )
        )
    return drawn


def _untrained(variant: Variant) -> str:
    """That a score has learned arrays, which nobody trained here; empty if it has none."""
    entry = SCORES[variant.name.partition(":")[0]]
    if not entry.arrays:
        return ""
    names = ", ".join(name.replace("w", "W", 1) if len(axes) > 1 else name
                      for name, axes in entry.arrays.items())  # fmt: skip
    return say("{name}: {arrays} untrained (random weights, seed {seed})",
               name=variant.name, arrays=names, seed=SEED)  # fmt: skip


def sharpness_views(sharpness: Sequence[Sharpness]) -> list[View]:
    """How sharp each score gets as the width grows: a table, and curves of the entropy."""
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (s.score, s.d_k, s.variance, s.largest, s.entropy) for s in sharpness
    )
    names = list(dict.fromkeys(s.score for s in sharpness))
    widths = np.array(sorted({s.d_k for s in sharpness}))
    note = say(
        "random q and k with components from N(0, 1), 10 keys a row; an even spread has "
        "ln 10 = {most:.3f} nats",
        most=np.log(10),
    )
    views: list[View] = [
        Table(
            say("how sharp each score gets with the width d_k"),
            (
                say("score"),
                "d_k",
                say("variance of scores"),
                say("largest weight"),
                say("entropy (nats)"),
            ),
            rows,
            (note,),
        )
    ]
    if len(widths) > 1:
        by_width = {(each.score, each.d_k): each.entropy for each in sharpness}
        series = tuple((name, np.array([by_width[name, w] for w in widths])) for name in names)
        views.append(
            Curves(
                say("entropy of a row of 10 keys"), widths, "d_k", series, say("nats"), log_x=True
            )
        )
    return views


def _weights(variant: Variant, head: int, rows: Axis, columns: Axis) -> Heatmap:
    return Heatmap(
        title=say("{name} · weights", name=variant.name),
        values=variant.weights[head],
        rows=rows,
        columns=columns,
        scale=WEIGHTS,
        masked=variant.reasons if variant.reasons.ndim == 2 else None,
        reasons=variant.mask_names,
        pooling="mass",
        what=say("weights"),
    )


def _table(variants: Sequence[Variant]) -> Table:
    first = variants[0]
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            variant.name,
            f"{int(variant.mask.sum())}/{variant.mask.size}",
            variant.entropy,
            variant.max_entropy,
            variant.largest,
            float(abs(variant.change(first)).max()),
        )
        for variant in variants
    )
    return Table(
        say("means over all heads and rows"),
        (
            say("variant"),
            say("visible"),
            say("entropy"),
            say("at most"),
            say("largest weight"),
            say("largest change"),
        ),
        rows,
        (say("entropy in nats; largest change: of any weight, from {name}", name=first.name),),
    )
