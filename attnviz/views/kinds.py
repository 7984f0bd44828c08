"""What can be drawn: a small closed set. A new kind is a decision for all renderers.

A view carries its values, labels, colour scale, mask and notes; a renderer decides layout only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from attnviz.language import say
from attnviz.nn.masks import Hatch, hatch_of
from attnviz.nn.types import Array
from attnviz.views.numbers import column_texts, fixed, is_number, short

LOG_FLOOR = 1e-4


@dataclass(frozen=True)
class Axis:
    """The rows or columns of a heatmap: a name and a label for each."""

    name: str
    """`query`, `key`, `position`, `dimension`."""
    labels: tuple[str, ...]
    """Safe to show; empty strings where the index says enough."""
    first: int = 0
    """The index of the first label."""
    step: int = 1
    """How many positions of the original one label stands for: more than 1 after pooling."""
    special: frozenset[int] = frozenset()
    """Positions of tokens that the tokenizer added."""
    end: int | None = None
    """How many positions there were before pooling."""
    positions: tuple[int, ...] = ()
    """Of each label before pooling, where they are not all that follow the first."""
    spans: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Parts that may be left out of a picture, by name: see `Tokens.spans`."""
    outside: int = 0
    """How many of the last labels are no positions, and never pooled: a sink outside the keys."""

    def __len__(self) -> int:
        return len(self.labels)

    def is_special(self, position: int) -> bool:
        """Whether the label is that of one token, which the tokenizer added."""
        return self.step == 1 and position in self.special

    def index(self, position: int) -> str:
        """`3`, or `12-15` after pooling; nothing for what is no position."""
        if position >= len(self) - self.outside:
            return ""
        start = position * self.step
        last = start + self.step - 1
        if self.end is not None:
            last = min(last, self.end - 1)
        start, last = (
            (self.positions[i] if self.positions else self.first + i) for i in (start, last)
        )
        return str(start) if start == last else f"{start}-{last}"

    @property
    def sizes(self) -> Array:
        """How many positions of the original each label stands for, [n_label]."""
        inside = len(self) - self.outside
        sizes = np.full(len(self), self.step)
        sizes[inside:] = 1
        if self.end is not None and inside:
            sizes[inside - 1] = self.end - self.step * (inside - 1)
        return sizes

    @property
    def n_position(self) -> int:
        """How many positions there were before pooling."""
        return len(self) - self.outside if self.end is None else self.end

    def without_outside(self) -> Axis:
        return replace(self, labels=self.labels[: len(self) - self.outside], outside=0)

    def with_outside(self, *labels: str) -> Axis:
        """With labels behind the last position that are none."""
        return replace(self, labels=(*self.labels, *labels), outside=len(labels))


def indices(name: str, count: int, first: int = 0) -> Axis:
    """An axis that has no labels but its indices."""
    return Axis(name, ("",) * count, first)


class Scale(NamedTuple):
    """How a value becomes a colour. It is printed with every picture."""

    low: float
    high: float
    kind: Literal["sequential", "diverging"] = "sequential"
    by: Literal["all", "row", "head", "map", "root", "log"] = "all"
    """`row`: 0 to each row's largest value; `head`, `map`: 0 to each heatmap's; `root`: the square
    root, 0 to 1; `log`: decades."""

    @property
    def ends(self) -> tuple[str, str, str]:
        """The lowest and highest value that have a colour, and what to say of them."""
        if self.by == "row":
            return "0", say("largest"), say("of each row")
        if self.by in ("head", "map"):
            return (
                "0",
                say("largest"),
                say("of each head") if self.by == "head" else say("of each map"),
            )
        if self.by == "root":
            return "0", "1", say("square root")
        if self.by == "log":
            return say("{low:g} and below", low=LOG_FLOOR), "1", say("logarithmic")
        return short(self.low), short(self.high), ""

    @property
    def text(self) -> str:
        """What is printed where the colours themselves are not."""
        low, high, what = self.ends
        return say("scale: {low} to {high}", low=low, high=high) + (f" ({what})" if what else "")

    def number(self, value: float, decimals: int) -> str:
        """A value in as few characters as its column has."""
        if not np.isfinite(value) or self.by == "log":  # decades need more than fixed decimals
            return short(value)
        return fixed(value, decimals)


WEIGHTS = Scale(0.0, 1.0)


def around_zero(*arrays: Array) -> Scale:
    """A diverging scale that holds all finite values of the arrays, the same on both sides."""
    largest = max((float(np.abs(a[np.isfinite(a)]).max(initial=0)) for a in arrays), default=0.0)
    return Scale(-largest, largest, "diverging")


Pooling = Literal["mass", "mean", "largest"]


class Strongest(NamedTuple):
    """The largest weights of each query as they are, where the cells of a map stand for several."""

    weights: Array
    """[n_query, n_link], from the largest on; 0 where a query sees fewer keys."""
    keys: Array
    """[n_query, n_link]: which keys they are of; -1 where the weight is 0."""
    rows: Axis
    columns: Axis


class Heatmap(NamedTuple):
    """A matrix, [n_row, n_column]."""

    title: str
    values: Array
    rows: Axis
    columns: Axis
    scale: Scale = WEIGHTS
    masked: Array | None = None
    """[n_row, n_column]: 0 = visible, i = masked for the i-th reason counted from 1."""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pooling: Pooling = "mean"
    """How cells are put together where there are too many: weights add up over keys; differences
    that cancel must not vanish."""
    hatches: tuple[Hatch, ...] = ()
    """How the cells that each reason masks are drawn; if empty, as the masks' entries say."""
    name: str = ""
    """What a file of this picture alone is called; if empty, by the title."""
    heading: str = ""
    """A shorter title, `L1.H3`, where the picture says the rest of it already."""
    caption: str = ""
    """A sentence about it, which stands beside or below the title."""
    brief: str = ""
    """The same in fewer words, where there is little room."""
    what: str = ""
    """What its numbers are, `weights`: tells scales apart that one picture has."""
    group: str = ""
    """Neighbours of one group stay beside one another where they fit."""
    optional: bool = False
    """Whether it may be left out where it does not fit beside what stands before it."""
    small: bool = False
    """Whether colours say enough without numbers, where there are colours: an overview."""
    is_relation: bool = True
    """Whether the rows are tokens that look at those of the columns, if these are tokens at all."""
    details: tuple[tuple[str, Array], ...] = ()
    """Further numbers of each cell, [n_row, n_column], by name: for where one can point at it."""
    strongest: Strongest | None = None
    """For where one can read on: what the cells were put together from, as far as it was kept."""

    def shades(self) -> Array:
        """Each cell's level on the colour scale, 0 to 1 ([-1, 1] if it diverges); NaN where a
        cell is masked or not a number."""
        values = np.asarray(self.values, np.float64)
        shown = np.isfinite(values)
        if self.masked is not None:
            shown &= self.masked == 0
        safe = np.where(shown, values, 0.0)
        low, high = self.scale.low, self.scale.high
        if self.scale.kind == "diverging":
            levels = safe / high if high > 0 else safe * 0
            return np.where(shown, np.clip(levels, -1, 1), np.nan)
        if self.scale.by == "row":
            largest = np.maximum(safe.max(-1, keepdims=True, initial=0), np.finfo(float).tiny)
            levels = np.maximum(safe, 0) / largest
        elif self.scale.by in ("head", "map"):
            levels = np.maximum(safe, 0) / max(safe.max(initial=0), np.finfo(float).tiny)
        elif self.scale.by == "root":
            levels = np.sqrt(np.maximum(safe, 0))
        elif self.scale.by == "log":
            levels = 1 - np.log10(np.clip(safe, LOG_FLOOR, 1)) / np.log10(LOG_FLOOR)
        else:
            # halves, as the whole range of float64 is more than float64 can hold
            levels = (safe / 2 - low / 2) / (high / 2 - low / 2) if high > low else safe * 0
        return np.where(shown, np.clip(levels, 0, 1), np.nan)

    def reason(self, number: int) -> str:
        """The name of the rule behind the number of a masked cell."""
        names = self.reasons or ("custom",)
        return names[min(number, len(names)) - 1]

    def hatch(self, number: int) -> Hatch:
        """How cells are drawn that are masked for this reason."""
        if self.hatches:
            return self.hatches[min(number, len(self.hatches)) - 1]
        return hatch_of(self.reason(number))

    def masked_by(self) -> dict[str, Hatch]:
        """The names of all rules that mask a cell, and how their cells are drawn."""
        if self.masked is None:
            return {}
        # np.unique would import numpy.ma, which takes as long as a small run
        numbers = [
            int(number) for number in np.flatnonzero(np.bincount(self.masked.ravel())) if number
        ]
        return {self.reason(number): self.hatch(number) for number in numbers}

    def is_broken(self) -> bool:
        """Whether a cell that is not masked is not a number."""
        broken = ~np.isfinite(self.values)
        return bool((broken if self.masked is None else broken & (self.masked == 0)).any())


class Grid(NamedTuple):
    """Small heatmaps in rows and columns, on one scale: an overview."""

    title: str
    panels: tuple[tuple[Heatmap | None, ...], ...]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    name: str = ""
    """What a file of this picture alone is called; if empty, by the title."""

    def present(self) -> list[Heatmap]:
        return [panel for row in self.panels for panel in row if panel is not None]


class Curves(NamedTuple):
    """Several y over one x."""

    title: str
    x: Array
    x_name: str
    series: tuple[tuple[str, Array], ...]
    y_name: str
    log_x: bool = False
    notes: tuple[str, ...] = ()
    name: str = ""
    """What a file of this picture alone is called; if empty, by the title."""


class Links(NamedTuple):
    """Two columns of tokens, joined by lines whose thickness is a weight."""

    title: str
    values: Array
    """[n_right, n_left]: the rows of a matrix of weights are on the right."""
    right: Axis
    left: Axis
    scale: Scale = WEIGHTS
    minimum: float = 0.1
    """Weights below it have no line; the notes say so."""
    notes: tuple[str, ...] = ()
    name: str = ""
    """What a file of this picture alone is called; if empty, by the title."""

    def lines(self) -> list[tuple[int, int, float]]:
        """(right, left, weight) of every line, the lightest first, so that none hides a heavier."""
        lines = [
            (int(i), int(j), float(self.values[i, j]))
            for i, j in np.argwhere(self.values >= self.minimum)
        ]
        return sorted(lines, key=lambda line: line[2])

    def strongest(self, row: int) -> tuple[int, float] | None:
        """The left token that a right token is joined to most; None if its row is empty."""
        values = self.values[row]
        if not np.isfinite(values).any() or not np.nanmax(values) > 0:
            return None
        position = int(np.nanargmax(values))
        return position, float(values[position])

    def all_notes(self) -> tuple[str, ...]:
        hidden = int(((self.values > 0) & (self.values < self.minimum)).sum())
        left_out = say("{n} weights under {minimum} have no line", n=hidden,
                       minimum=short(self.minimum))  # fmt: skip
        return (*self.notes, *((left_out,) if hidden else ()))


class Picture(NamedTuple):
    """An image, and heat maps over it."""

    title: str
    image: Array
    """[height, width] or [height, width, 3], 0 to 1."""
    overlays: tuple[tuple[Array | None, ...], ...]
    """Rows and columns of maps, each [n_patch_row, n_patch_column]; None for none."""
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    scale: Scale
    notes: tuple[str, ...] = ()
    name: str = ""
    """What a file of this picture alone is called; if empty, by the title."""

    def grey(self) -> Array:
        """[height, width]: the image's brightness (Rec. 601)."""
        if self.image.ndim == 2:
            return self.image
        return np.asarray(self.image @ np.array([0.299, 0.587, 0.114]))

    def heatmap(self, title: str, values: Array) -> Heatmap:
        """One of the overlays, or the image, as a matrix."""
        n_row, n_column = values.shape
        return Heatmap(title, values, indices("row", n_row), indices("column", n_column),
                       self.scale)  # fmt: skip

    def grid(self) -> Grid:
        """The overlays beside one another, without the image."""
        panels = tuple(
            tuple(None if values is None else self.heatmap(f"{row} {column}".strip(), values)
                  for column, values in zip(self.column_names, line, strict=True))
            for row, line in zip(self.row_names, self.overlays, strict=True)
        )  # fmt: skip
        return Grid(self.title, panels, self.row_names, self.column_names, self.notes)


Value = str | int | float | None

CellTone = Literal["good", "bad", "strong", "faint"]
"""Of a cell that is a verdict or stands out; its words say the same without colour."""


class Table(NamedTuple):
    """Rows of numbers and words under column names."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...] = ()
    decimals: int | None = None
    """Of every number that is not whole; None for as many as its column needs."""
    missing: str = ""
    """What is shown for None."""
    tones: Mapping[tuple[int, int], CellTone] = {}
    """By row and column."""
    groups: tuple[int, ...] = ()
    """Rows above which a light rule stands."""
    importance: tuple[int, ...] = ()
    """Columns that stay longest where not all have room; the others follow in their order."""
    folds: bool = True
    """Whether columns without room go below the others; else they are left out, and named. A long
    table never folds."""

    def texts(self) -> list[list[str]]:
        """What is shown of each row; the numbers of a column have their decimals in common."""
        if not self.rows:
            return []
        columns = (
            column_texts(values, self.decimals, self.missing)
            for values in zip(*self.rows, strict=True)
        )
        return [list(row) for row in zip(*columns, strict=True)]

    def is_words(self) -> list[bool]:
        """Of each column, whether it holds words, which stand to the left and may wrap."""
        return [
            any(isinstance(row[i], str) and not is_number(row[i]) for row in self.rows)
            for i in range(len(self.columns))
        ]


def verdicts(column: int, holds: Iterable[bool]) -> dict[tuple[int, int], CellTone]:
    """The tones of a column that says of each row whether something holds."""
    return {(row, column): "good" if good else "bad" for row, good in enumerate(holds)}


Tone = Literal["plain", "note", "warning", "head"]


class Line(NamedTuple):
    """One paragraph: a term at the margin, its text beside it."""

    text: str
    term: str = ""
    tone: Tone = "plain"
    faint: frozenset[int] = frozenset()
    """Words of less weight, by their number between single spaces."""
    whole: bool = False
    """Whether it is to be copied: a word without room is broken, not cut."""


class Text(NamedTuple):
    lines: tuple[Line, ...]


View = Heatmap | Grid | Links | Curves | Table | Picture | Text


def texts(view: View) -> Iterator[str]:
    """Every text of a view, which may hold any characters; not what renderers add."""
    if isinstance(view, Heatmap):
        yield from (
            view.title,
            view.name,
            view.caption,
            view.brief,
            view.what,
            *view.notes,
            *view.reasons,
        )
        yield from (*_axis(view.rows), *_axis(view.columns))
    elif isinstance(view, Links):
        yield from (view.title, *view.notes, *_axis(view.right), *_axis(view.left))
    elif isinstance(view, Grid):
        yield from (view.title, *view.notes, *view.row_names, *view.column_names)
        for panel in view.present():
            yield from texts(panel)
    elif isinstance(view, Picture):
        yield from (view.title, *view.notes, *view.row_names, *view.column_names)
    elif isinstance(view, Table):
        yield from (view.title, *view.notes, *view.columns)
        for row in view.texts():
            yield from row
    elif isinstance(view, Curves):
        yield from (view.title, *view.notes, view.x_name, view.y_name)
        yield from (name for name, _ in view.series)
    else:
        for line in view.lines:
            yield from (line.term, line.text)


def _axis(axis: Axis) -> Iterator[str]:
    yield axis.name
    yield from axis.labels
