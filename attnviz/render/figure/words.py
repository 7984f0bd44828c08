"""Text, tables and curves in a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from attnviz.render.figure.boxes import Box, Page
from attnviz.render.figure.lines import (
    BOLD,
    SMALL,
    TEXT,
    TITLE,
    lines_of,
    title_lines,
    width_of,
)
from attnviz.views.kinds import Curves, Table, Text, short

WIDEST = 6.7
"""Of text and of tables whose words can wrap."""
LINE, HEAD = 0.165, 0.26
TERM = 0.75
SPACE, BETWEEN = 0.15, 0.06
"""Between columns, and between paragraphs or rows of several lines."""
HEADING = 11.0
MOST_ROWS = 40
LEAST = 0.9
"""How narrow a column of words may become."""
LEGEND = 2.4
CURVES = (5.0, 2.4)
TONES = {"plain": "black", "head": "black", "note": "#8a6d00", "warning": "#b00020"}
STYLES = ("-", "--", "-.", ":")
# Okabe and Ito's colours, which can be told apart with colour-blind eyes
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Words(NamedTuple):
    """One line at its place in a box."""

    x: float
    """Its left end; its right end where `right`."""
    y: float
    text: str
    points: float = TEXT
    colour: str = "black"
    bold: bool = False
    right: bool = False

    @property
    def end(self) -> float:
        size = self.points * (BOLD if self.bold else 1)
        return self.x if self.right else self.x + width_of(self.text, size)


def words_box(words: list[Words], height: float) -> Box:
    """Lines of text and nothing else."""

    def draw(page: Page, x: float, y: float) -> None:
        for each in words:
            page.text(
                x + each.x,
                y + each.y,
                each.text,
                fontsize=each.points,
                color=each.colour,
                weight="bold" if each.bold else "normal",
                ha="right" if each.right else "left",
            )

    return Box(max((each.end for each in words), default=0.0), height, draw)


def text_box(text: Text) -> Box:
    """Terms at the left, their text beside them; prose, which has none, under its headings."""
    terms = [width_of(line.term) + SPACE for line in text.lines if line.term]
    margin = max(TERM, *terms) if terms else 0.0
    words: list[Words] = []
    y = 0.0
    for line in text.lines:
        bold = line.tone == "head"
        points = HEADING if bold and not terms else TEXT
        if line.term:
            words.append(Words(0, y, line.term, colour="0.4"))
        for part in lines_of(line.text, WIDEST - margin, points * (BOLD if bold else 1)):
            words.append(Words(margin, y, part, points, TONES[line.tone], bold))
            y += LINE * points / TEXT
        y += 0 if terms else BETWEEN
    return words_box(words, y)


def table_box(table: Table) -> Box:
    """Columns of text; numbers to the right. Words wrap where the table is too wide."""
    shown = table.texts()[:MOST_ROWS]
    cells = [list(table.columns), *shown]
    is_words = [any(isinstance(r[i], str) for r in table.rows) for i in range(len(table.columns))]
    widths = _narrowed(
        [max(map(width_of, column)) for column in zip(*cells, strict=True)], is_words
    )
    parts = [
        [
            lines_of(text, width) if wraps else [text]
            for text, width, wraps in zip(row, widths, is_words, strict=True)
        ]
        for row in cells
    ]
    words, y = _title(table.title)
    body, y = _rows(parts, is_words, y)
    rest = len(table.rows) - len(shown)
    notes = [*table.notes, *([f"and {rest} rows more"] if rest else [])]
    width = max(WIDEST, *(each.end for each in body)) if body else WIDEST
    below, y = _notes(notes, y, width)
    return words_box([*words, *body, *below], y)


def _title(title: str) -> tuple[list[Words], float]:
    """The title, and how far down it goes."""
    parts = title_lines(title, WIDEST)
    words = [Words(0, i * LINE, part, TITLE, bold=True) for i, part in enumerate(parts)]
    return words, HEAD + LINE * (len(parts) - 1)


def _rows(
    parts: list[list[list[str]]], is_words: list[bool], y: float
) -> tuple[list[Words], float]:
    """The cells of a table as lines, the head first, in columns as wide as their lines."""
    widths = [max(width_of(part) for row in parts for part in row[i]) for i in range(len(is_words))]
    ends = np.cumsum([width + SPACE for width in widths]) - SPACE
    between = BETWEEN if any(len(part) > 1 for row in parts for part in row) else 0
    words = []
    for number, row in enumerate(parts):
        for cell, width, end, wraps in zip(row, widths, ends, is_words, strict=True):
            x, colour = float(end - width if wraps else end), "black" if number else "0.4"
            words += [
                Words(x, y + i * LINE, part, colour=colour, right=not wraps)
                for i, part in enumerate(cell)
            ]
        y += max(map(len, row)) * LINE + between
    return words, y


def _narrowed(widths: list[float], is_words: list[bool]) -> list[float]:
    """The widest columns of words made narrower until all fit."""
    widths = list(widths)
    room = WIDEST - SPACE * (len(widths) - 1)
    wide = [i for i, wraps in enumerate(is_words) if wraps and widths[i] > LEAST]
    while wide and sum(widths) > room:
        widest = max(wide, key=widths.__getitem__)
        widths[widest] -= 0.05
        wide = [i for i in wide if widths[i] > LEAST]
    return widths


def _notes(notes: Sequence[str], y: float, width: float) -> tuple[list[Words], float]:
    """What is said below, and how far down it goes."""
    parts = [part for note in notes for part in lines_of(note, width, SMALL)]
    words = [Words(0, y + i * LINE, part, SMALL, "0.35") for i, part in enumerate(parts)]
    return words, y + LINE * len(parts)


def curves_box(curves: Curves) -> Box:
    """Lines, told apart by colour and by style, with their names beside them."""
    names = ["\n".join(lines_of(name, LEGEND, SMALL)) for name, _ in curves.series]
    longest = max((width_of(part, SMALL) for name in names for part in name.split("\n")), default=0)
    title, top = _title(curves.title)
    width, height = CURVES
    below, end = _notes(curves.notes, top + height, WIDEST)
    words = words_box([*title, *below], end)

    def draw(page: Page, x: float, y: float) -> None:
        words.draw(page, x, y)
        axes = page.axes(x + 0.55, y + top, width - 0.55, height - 0.4)
        _plot(axes, curves, names)

    return Box(max(words.width, width + 0.5 + longest), end, draw)


def _plot(axes: Axes, curves: Curves, names: Sequence[str]) -> None:
    for number, (name, (_, values)) in enumerate(zip(names, curves.series, strict=True)):
        axes.plot(
            curves.x,
            values,
            label=name,
            color=COLOURS[number % len(COLOURS)],
            linestyle=STYLES[number % len(STYLES)],
            linewidth=1.3,
            marker="." if len(curves.x) <= 40 else None,
        )
    if curves.log_x:
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(curves.x), [short(float(v)) for v in curves.x])
        axes.minorticks_off()
    axes.set_xlabel(curves.x_name, fontsize=8)
    axes.set_ylabel(curves.y_name, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
