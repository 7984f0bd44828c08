"""What one needs to read drawn matrices: their axes, scales and signs, once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from attnviz.language import say, to_say
from attnviz.nn.masks import Hatch
from attnviz.render.terminal.screen import (
    DIGITS,
    FALLING,
    MASKED_LEVEL,
    RISING,
    SHADES,
    Row,
    Screen,
    cell_style,
    segment,
    style,
)
from attnviz.render.terminal.text import notes, row_width
from attnviz.views.kinds import Heatmap, Scale
from attnviz.views.numbers import short

BAR = 12
BETWEEN = 3

MASKS = {
    "causal": to_say("causal"),
    "padding": to_say("padding"),
    "custom": to_say("custom"),
}
"""What masks are called, of those that have a word and not only a name that is typed."""


class Reading(NamedTuple):
    """How a matrix was drawn, as far as a reader has to know."""

    heatmap: Heatmap
    numbers: bool
    """Whether its cells hold numbers."""
    halves: bool


def legend(readings: Sequence[Reading], width: int, screen: Screen, axes: bool = True) -> list[Row]:
    """Axes, scales and signs of all, in as few lines as they take; `axes` where they are alike."""
    rows: list[Row] = []
    line: Row = []
    for part in _parts(readings, screen, axes):
        room = width - row_width(line) - BETWEEN
        if line and row_width(part) > room:
            rows.append(line)
            line = []
        if row_width(part) > width:
            rows += notes(("".join(piece.text for piece in part),), width, screen)
        else:
            line = [*line, segment(" " * BETWEEN), *part] if line else part
    return [*rows, line] if line else rows


def axes_text(heatmap: Heatmap) -> str:
    """Which axis is which."""
    return say("rows: {rows}, columns: {columns}", rows=heatmap.rows.name,
               columns=heatmap.columns.name)  # fmt: skip


def _parts(readings: Sequence[Reading], screen: Screen, axes: bool) -> list[Row]:
    heatmaps = [reading.heatmap for reading in readings]
    scales = {heatmap.scale: heatmap.what for heatmap in reversed(heatmaps)}
    halves = any(reading.halves for reading in readings)
    shaded = not all(reading.numbers for reading in readings)
    parts = [_words(axes_text(heatmaps[0]), screen)] if axes else []
    for scale, what in reversed(scales.items()):
        name = what if len(scales) > 1 else ""
        if screen.paints:
            parts.append(_colour_bar(scale, name, screen))
        elif shaded:
            parts.append(_words(f"{name} {scale.text}".strip(), screen))
    if shaded and not screen.paints:
        kinds = {scale.kind: scale for scale in scales}
        parts += [_words(_signs(scale, screen), screen) for scale in reversed(kinds.values())]
    parts += _masks(readings, screen)
    if shaded and any(heatmap.is_broken() for heatmap in heatmaps):
        parts.append(
            _words(
                say("purple: not a number") if halves else say("{sign} not a number", sign="!"),
                screen,
            )
        )
    return parts


def _masks(readings: Sequence[Reading], screen: Screen) -> list[Row]:
    """A swatch of every kind of masked cell, and the rules behind it."""
    reasons: dict[str, Hatch] = {}
    for reading in readings:
        reasons |= reading.heatmap.masked_by()
    signed = not all(reading.halves for reading in readings)
    names: dict[str, list[str]] = {}
    for name, hatch in reasons.items():
        sign = screen.hatch(hatch) if signed else ""
        names.setdefault(sign, []).append(say(MASKS[name]) if name in MASKS else name)
    parts = []
    for sign, alike in names.items():
        words = _words(say(" masked ({names})", names=", ".join(alike)), screen)
        if screen.paints:
            parts.append([segment(f" {sign:1} ", cell_style(MASKED_LEVEL, screen)), *words])
        else:
            parts.append([segment(sign, style(dim=True)), *words])
    return parts


def _words(text: str, screen: Screen) -> Row:
    return [segment(screen.text(text), style(dim=True))]


def _colour_bar(scale: Scale, what: str, screen: Screen) -> Row:
    """The ends of the scale with the colours between them."""
    low, high, note = scale.ends
    first = 9.0 if scale.kind == "diverging" else 0.0
    span = 2.0 if scale.kind == "diverging" else 1.0
    steps = [round(first + span * i / (BAR - 1), 2) for i in range(BAR)]
    dim = style(dim=True)
    bar = [segment(" ", cell_style(step, screen)) for step in steps]
    head = f"{what} {low} " if what else f"{low} "
    tail = f" {high}" + (f" ({note})" if note else "")
    return [segment(screen.text(head), dim), *bar, segment(screen.text(tail), dim)]


def _signs(scale: Scale, screen: Screen) -> str:
    if scale.kind == "diverging":
        return say("signs: {rising} above zero, {falling} below, . near it", rising=RISING,
                   falling=FALLING)  # fmt: skip
    if not screen.unicode:
        return say("signs: tenths of the scale, {last} up to its end", last=DIGITS[-1])
    ends = [(i + 1) / len(SHADES) for i in range(len(SHADES) - 1)]
    if scale.by == "root":
        ends = [end * end for end in ends]
    steps = [f"{sign} <{short(end)}" for sign, end in zip(SHADES, ends, strict=False)]
    return say("signs, in shares of the scale: {steps}, {last} above", steps=" ".join(steps),
               last=SHADES[-1])  # fmt: skip
