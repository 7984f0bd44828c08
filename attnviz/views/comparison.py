"""Scores or masks side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.analysis.comparison import Sharpness, Variant
from attnviz.trace.record import Record, Trace
from attnviz.views.attention import header, token_axis
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


def comparison_views(
    trace: Trace, record: Record, head: int, variants: Sequence[Variant], with_scores: bool
) -> list[View]:
    """For one head: (scores,) weights, differences from the first; for all heads: a table."""
    rows = token_axis("query", trace.streams[record.queries])
    columns = token_axis("key", trace.streams[record.keys])
    first = variants[0]
    views: list[View] = [
        header(trace),
        Text((Line(f"the same q and k, {record.id} H{head}", "compared", "head"),)),
    ]
    if with_scores:
        scale = around_zero(*(variant.scores[head] for variant in variants))
        for variant in variants:
            views.append(
                Heatmap(f"{variant.name} · scores", variant.scores[head], rows, columns, scale)
            )
    views += [_weights(variant, head, rows, columns) for variant in variants]
    others = variants[1:]
    differences = [other.change(first)[head] for other in others]
    scale = around_zero(*differences)
    for other, difference in zip(others, differences, strict=True):
        both = other.hidden_in_both(first)
        views.append(
            Heatmap(
                title=f"{other.name} - {first.name} · weights",
                values=difference,
                rows=rows,
                columns=columns,
                scale=scale,
                masked=both,
                reasons=first.mask_names,
                notes=("masked: hidden by both",) if both is not None and both.any() else (),
            )
        )
    views.append(_table(variants))
    return views


def sharpness_views(sharpness: Sequence[Sharpness]) -> list[View]:
    """How sharp each score gets as the width grows: a table, and curves of the entropy."""
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (s.score, s.d_k, s.variance, s.largest, s.entropy) for s in sharpness
    )
    names = list(dict.fromkeys(s.score for s in sharpness))
    widths = np.array(sorted({s.d_k for s in sharpness}))
    note = "random q and k with components from N(0, 1), 10 keys a row; an even spread has ln 10 = "
    views: list[View] = [
        Table(
            "how sharp each score gets with the width d_k",
            ("score", "d_k", "variance of scores", "largest weight", "entropy (nats)"),
            rows,
            (f"{note}{np.log(10):.3f} nats",),
        )
    ]
    if len(widths) > 1:
        by_width = {(each.score, each.d_k): each.entropy for each in sharpness}
        series = tuple((name, np.array([by_width[name, w] for w in widths])) for name in names)
        views.append(
            Curves("entropy of a row of 10 keys", widths, "d_k", series, "nats", log_x=True)
        )
    return views


def _weights(variant: Variant, head: int, rows: Axis, columns: Axis) -> Heatmap:
    return Heatmap(
        title=f"{variant.name} · weights",
        values=variant.weights[head],
        rows=rows,
        columns=columns,
        scale=WEIGHTS,
        masked=variant.reasons if variant.reasons.ndim == 2 else None,
        reasons=variant.mask_names,
        pooling="mass",
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
        "means over all heads and rows",
        ("variant", "visible", "entropy", "at most", "largest weight", "largest change"),
        rows,
        (f"entropy in nats; change: of any weight, from {first.name}",),
    )
