"""Positions and token vectors as matrices, curves and checked claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attnviz.analysis.encoding import Check, Embedded, Positions, Rotation
from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.views.attention import marks_lines, tokens_line
from attnviz.views.kinds import (
    Axis,
    Curves,
    Grid,
    Heatmap,
    Line,
    Scale,
    Table,
    Text,
    Value,
    View,
    around_zero,
    indices,
    verdicts,
)
from attnviz.views.matrices import token_axis

CURVES = 4
NUMBERS = 6


def position_views(encoded: Positions, dimensions: Sequence[int] | None) -> list[View]:
    """What the scheme adds, turns or biases, with curves of single dimensions."""
    n, first = len(encoded.positions), int(encoded.positions[0])
    rows = indices(say("position"), n, first)
    shown = say(
        "{scheme} · positions {first} to {last}",
        scheme=encoded.scheme, first=first, last=first + n - 1,
    )  # fmt: skip
    lines = [Line(shown, say("scheme"), "head")]
    if encoded.seeded:
        lines.append(Line(say("seeded random numbers stand in for learned ones"), "", "note"))
    views: list[View] = [Text(tuple(lines))]
    if encoded.added is not None:
        views += _added(encoded.added, rows, encoded.positions, dimensions)
    if encoded.rotation is not None:
        views.append(_rotation(encoded.rotation))
    if encoded.cosines is not None:
        views += _angles(encoded.cosines, rows, encoded.positions, dimensions)
    if encoded.similarity is not None:
        views.append(_similarity(encoded, rows))
    if encoded.wavelengths is not None:
        views.append(_wavelengths(encoded.wavelengths))
    if encoded.buckets is not None:
        views.append(_buckets(encoded.buckets, rows))
    if encoded.bias is not None:
        views += _bias(encoded, rows)
    if len(views) == 1:
        views.append(Text((Line(say("nothing tells one position from another"), say("result")),)))
    if encoded.checks:
        views.append(_checks(encoded.checks))
    return views


def token_views(
    tokens: Tokens, embedded: Embedded, title: str, notes: tuple[str, ...]
) -> list[View]:
    """Token vectors: numbers, lengths, and how alike they are."""
    rows = token_axis(say("token"), tokens)
    width = embedded.vectors.shape[-1]
    return [
        Text(
            (
                Line(title, say("vectors"), "head"),
                *(Line(say(note), "", "note") for note in notes),
                tokens_line(tokens),
                *marks_lines(tokens),
            )
        ),
        Heatmap(
            say("vectors · [{n}, {width}]", n=len(tokens), width=width),
            embedded.vectors,
            rows,
            indices(say("dimension"), width),
            around_zero(embedded.vectors),
            name="vectors",
        ),
        Table(
            say("tokens"),
            (say("position"), say("token"), "id", say("length")),
            tuple(
                (i, tokens.labels[i], tokens.ids[i], float(embedded.norms[i]))
                for i in range(len(tokens))
            ),
        ),
        Heatmap(
            say("similarity (cosine)"),
            embedded.similarity,
            rows,
            replace(rows, name=say("other token")),
            Scale(-1, 1, "diverging"),
            name="similarity",
        ),
    ]


def _added(
    added: Array, rows: Axis, positions: Array, dimensions: Sequence[int] | None
) -> list[View]:
    width = added.shape[-1]
    chosen = _chosen(dimensions, width)
    series = tuple((say("dimension {d}", d=d), added[:, d]) for d in chosen)
    return [
        Heatmap(
            say("added to the embeddings · [{n}, {width}]", n=len(positions), width=width),
            added,
            rows,
            indices(say("dimension"), width),
            around_zero(added),
            name="encoding",
        ),
        _numbers(added, positions),
        Curves(
            say("single dimensions"),
            positions,
            say("position"),
            series,
            say("value"),
            name="dimensions",
        ),
    ]


def _numbers(added: Array, positions: Array) -> Table:
    shown = min(NUMBERS, added.shape[-1])
    left = added.shape[-1] - shown
    return Table(
        say("the first dimensions in numbers"),
        (say("position"), *(str(d) for d in range(shown))),
        tuple((int(p), *map(float, row[:shown])) for p, row in zip(positions, added, strict=True)),
        (say("{n} dimensions more: --json, or -o FILE.csv", n=left),) if left else (),
        decimals=4,
    )


def _rotation(rotation: Rotation) -> Table:
    """Each pair of features as a point on a circle, turned."""
    p, k = rotation.position, rotation.shift
    shown = rotation.angles[:CURVES]
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            i,
            float(angle),
            *(_point(points[i]) for points in (rotation.before, rotation.rotated, rotation.after)),
        )
        for i, angle in enumerate(shown)
    )
    left = len(rotation.angles) - len(shown)
    return Table(
        say(
            "a shift is a rotation: R({k}) turns PE({p}) into PE({q}), pair by pair",
            k=k,
            p=p,
            q=p + k,
        ),
        (
            say("pair"),
            say("angle {k}ω", k=k),
            f"PE({p})",
            say("turned by R({k})", k=k),
            f"PE({p + k})",
        ),
        rows,
        (say("and {n} pairs more", n=left),) if left else (),
    )


def _point(pair: Array) -> str:
    return f"({pair[0]:.4f}, {pair[1]:.4f})"


def _angles(
    cosines: Array, rows: Axis, positions: Array, dimensions: Sequence[int] | None
) -> list[View]:
    width = cosines.shape[-1]
    chosen = _chosen(dimensions, width)
    series = tuple((say("pair {d}", d=d), cosines[:, d]) for d in chosen)
    return [
        Heatmap(
            say(
                "cos of the angle of each pair of features · [{n}, {width}]",
                n=len(positions),
                width=width,
            ),
            cosines,
            rows,
            indices(say("pair"), width),
            Scale(-1, 1, "diverging"),
            name="angles",
        ),
        Curves(
            say("single pairs"), positions, say("position"), series, say("cos(angle)"), name="pairs"
        ),
    ]


def _similarity(encoded: Positions, rows: Axis) -> Heatmap:
    assert encoded.similarity is not None
    turned = encoded.angles is not None
    score = say("score of one query and one key, turned to p and p'")
    title = score if turned else "PE(p) · PE(p')"
    columns = replace(rows, name=say("other position"))
    scale = around_zero(encoded.similarity)
    return Heatmap(title, encoded.similarity, rows, columns, scale, name="similarity")


def _wavelengths(wavelengths: Array) -> Table:
    pairs = _chosen(None, len(wavelengths), 8)
    return Table(
        say("wavelengths: positions until a pair of features comes round"),
        (say("pair"), say("wavelength")),
        tuple((int(i), float(wavelengths[i])) for i in pairs),
    )


def _buckets(buckets: Array, rows: Axis) -> Heatmap:
    columns = replace(rows, name=say("key"))
    return Heatmap(
        say("bucket of each distance"),
        buckets.astype(float),
        replace(rows, name=say("query")),
        columns,
        Scale(0, float(max(1, buckets.max()))),
        name="buckets",
    )


def _bias(encoded: Positions, rows: Axis) -> list[View]:
    assert encoded.bias is not None
    scale = around_zero(encoded.bias)
    queries, keys = replace(rows, name=say("query")), replace(rows, name=say("key"))
    maps = [
        Heatmap(say("bias of H{head}", head=head), bias, queries, keys, scale)
        for head, bias in enumerate(encoded.bias)
    ]
    names = tuple(f"H{head}" for head in range(len(maps)))
    views: list[View] = [
        Grid(say("added to the scores, by head"), (tuple(maps),), ("",), names, name="biases")
    ]
    if encoded.slopes is not None:
        views.append(
            Table(
                say("slopes"),
                (say("head"), say("slope")),
                tuple((f"H{head}", float(m)) for head, m in enumerate(encoded.slopes)),
            )
        )
    views.append(maps[0])
    distances, biases = encoded.bias_by_distance()
    series = tuple((f"H{head}", bias) for head, bias in enumerate(biases[:CURVES]))
    views.append(
        Curves(say("bias by distance"), distances, say("key - query"), series, say("bias"))
    )
    return views


def _checks(checks: Sequence[Check]) -> Table:
    return Table(
        say("checked"),
        (say("claim"), say("largest deviation"), say("allowed"), say("holds")),
        tuple((c.claim, c.error, c.allowed, say("yes") if c.holds else say("NO")) for c in checks),
        tones=verdicts(3, (c.holds for c in checks)),
    )


def _chosen(wanted: Sequence[int] | None, count: int, maximum: int = CURVES) -> list[int]:
    if wanted is not None:
        return list(wanted)
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(maximum, count)).astype(int))]
