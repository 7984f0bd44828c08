"""Labels of rows and columns in a figure: whole, upright and all of them wherever there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from attnviz.language import say
from attnviz.render.figure.boxes import left_to_right
from attnviz.render.figure.text_layout import TEXT, width_of
from attnviz.views.kinds import Axis

SMALLEST = 5.0
"""Points; below that, labels are left out, and it is said, rather than made smaller."""
LEADING = 1.2
DEEPEST = 2.2
"""Inches that labels take where nothing bounds the figure; longer ones are cut, and it is said."""
APART = 0.05
CUT = "…"


class Labels(NamedTuple):
    """What stands beside the rows or columns of a matrix."""

    texts: tuple[str, ...]
    every: int
    """1 where each has its label, 3 where only every third has."""
    points: float
    depth: float
    """Inches from the matrix outwards."""
    turned: bool = False
    cut: bool = False
    are_ticks: bool = False
    """Whether they are numbers on a scale, which nobody misses between two of them."""

    @property
    def places(self) -> range:
        return range(0, len(self.texts), self.every)

    def shown(self) -> list[str]:
        return [self.texts[place] for place in self.places]


def row_labels(axis: Axis, cell: float, deepest: float = DEEPEST, bare: bool = False) -> Labels:
    """At the left of rows that are `cell` inches high."""
    names = [" ".join(filter(None, _parts(axis, i, bare))) for i in range(len(axis))]
    points, every = _fitting(cell)
    return _bounded(names, every, points, deepest)._replace(are_ticks=axis.step > 1)


def column_labels(axis: Axis, cell: float, deepest: float = DEEPEST, bare: bool = False) -> Labels:
    """Above columns that are `cell` inches wide: upright, the index over the token, where the
    widest fits; else turned."""
    parts = [_parts(axis, i, bare) for i in range(len(axis))]
    if _widest(parts, TEXT) <= cell - APART:
        two = any(index and label for index, label in parts)
        texts = tuple("\n".join(filter(None, part)) for part in parts)
        return Labels(texts, 1, TEXT, TEXT * LEADING / 72 * (2 if two else 1))
    if not any(label for _, label in parts):  # indices alone: fewer of them, upright
        wide = _widest(parts, TEXT) + APART
        every = int(wide / cell) + 1 if cell < wide else 1
        texts = tuple(index for index, _ in parts)
        return Labels(texts, every, TEXT, TEXT * LEADING / 72, are_ticks=axis.step > 1)
    points, every = _fitting(cell)
    return _bounded([" ".join(filter(None, p)) for p in parts], every, points, deepest, turned=True)


def upright_width(axis: Axis, bare: bool = False) -> float:
    """How wide a column has to be for its labels to stand upright."""
    return _widest([_parts(axis, i, bare) for i in range(len(axis))], TEXT) + APART + 0.001


def notes_on(*sides: Labels) -> tuple[str, ...]:
    """What of the labels of rows and columns is not there."""
    every = dict.fromkeys(
        side.every for side in sides if 1 < side.every < len(side.texts) and not side.are_ticks
    )
    notes = [say("1 label in {every} is shown", every=number) for number in every]
    if any(side.cut for side in sides):
        notes.append(say("labels that end in {sign} are cut", sign=CUT))
    return tuple(notes)


def shortened(text: str, width: float, points: float) -> str:
    """The text, or what fits of it with a sign at its end."""
    if width_of(text, points) <= width:
        return text
    room = width - width_of(CUT, points)
    used = 0.0
    for place, char in enumerate(text):
        used += width_of(char, points)
        if used > room:
            return text[:place] + CUT
    return text


def _parts(axis: Axis, position: int, bare: bool) -> tuple[str, str]:
    """The index and the label; of several tokens in one the first's index says enough."""
    if axis.step > 1:
        return axis.index(position).partition("-")[0], ""
    label = axis.labels[position]
    return ("" if bare and label else axis.index(position)), label


def _widest(parts: Sequence[tuple[str, str]], points: float) -> float:
    return max((width_of(text, points) for part in parts for text in part), default=0.0)


def _fitting(cell: float) -> tuple[float, int]:
    """The size of labels one under the other, and how many lines each has to itself."""
    points = min(TEXT, max(SMALLEST, cell * 72 / LEADING))
    every = max(1, -int(-points * LEADING / 72 // (cell + 1e-6)))
    return points, every


def _bounded(
    names: list[str], every: int, points: float, deepest: float, turned: bool = False
) -> Labels:
    texts = [shortened(name, deepest, points) for name in names]
    depth = max((width_of(text, points) for text in texts[::every]), default=0.0)
    whole = tuple(map(left_to_right, texts))
    return Labels(whole, every, points, depth, turned, cut=texts[::every] != names[::every])
