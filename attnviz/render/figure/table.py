"""Tables in a figure."""

from __future__ import annotations

import numpy as np

from attnviz.render.figure.boxes import Box
from attnviz.render.figure.text import (
    BETWEEN,
    LINE,
    MAX_WIDTH,
    SPACE,
    Words,
    note_words,
    title_words,
    words_box,
)
from attnviz.render.figure.text_layout import lines_of, width_of
from attnviz.views.kinds import Table

MAX_ROWS = 40
MIN_WIDTH = 0.9
"""How narrow a column of words may become."""
MIN_SENTENCE = 2.6
"""The same of a table whose columns may be left out on a screen, where sentences stand last."""


def table_box(table: Table) -> Box:
    """Columns of text; numbers to the right. Words wrap where the table is too wide."""
    shown = table.texts()[:MAX_ROWS]
    cells = [list(table.columns), *shown]
    is_words = table.is_words()
    widths = _narrowed(
        [max(map(width_of, column)) for column in zip(*cells, strict=True)],
        is_words,
        MIN_WIDTH if table.folds else MIN_SENTENCE,
    )
    parts = [
        [
            lines_of(text, width) if wraps else [text]
            for text, width, wraps in zip(row, widths, is_words, strict=True)
        ]
        for row in cells
    ]
    words, y = title_words(table.title)
    body, y = _rows(parts, is_words, y)
    rest = len(table.rows) - len(shown)
    notes = [*table.notes, *([f"and {rest} rows more"] if rest else [])]
    width = max(MAX_WIDTH, *(each.end for each in body)) if body else MAX_WIDTH
    below, y = note_words(notes, y, width)
    return words_box([*words, *body, *below], y)


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


def _narrowed(widths: list[float], is_words: list[bool], least: float) -> list[float]:
    """The widest columns of words made narrower until all fit."""
    widths = list(widths)
    available = MAX_WIDTH - SPACE * (len(widths) - 1)
    wide = [i for i, wraps in enumerate(is_words) if wraps and widths[i] > least]
    while wide and sum(widths) > available:
        widest = max(wide, key=widths.__getitem__)
        widths[widest] -= 0.05
        wide = [i for i in wide if widths[i] > least]
    return widths
