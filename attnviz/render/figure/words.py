"""Text, tables and curves in a figure."""

from __future__ import annotations

from textwrap import wrap

import numpy as np

from attnviz.render.figure.boxes import WIDEST, Box, Page
from attnviz.views.kinds import Curves, Table, Text, short

LETTER, LINE, TITLE = 0.075, 0.165, 0.26
TERM = 0.75
WIDEST_TEXT = 8.5
MOST_ROWS = 40
LEAST_LETTERS = 12
CURVES = (5.5, 2.4)
TONES = {"plain": "black", "head": "black", "note": "#8a6d00", "warning": "#b00020"}
STYLES = ("-", "--", "-.", ":")
# Okabe and Ito's colours, which can be told apart with colour-blind eyes
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def text_box(text: Text) -> Box:
    """Terms at the left, their text beside them."""
    lines: list[tuple[str, str, str]] = []
    for line in text.lines:
        body = wrap(line.text.replace("\u00a0", " "), int(WIDEST_TEXT / LETTER)) or [""]
        for number, part in enumerate(body):
            lines.append((line.term if number == 0 else "", part, line.tone))
    width = TERM + max((len(part) for _, part, _ in lines), default=0) * LETTER

    def draw(page: Page, x: float, y: float) -> None:
        for number, (term, part, tone) in enumerate(lines):
            at = y + number * LINE
            page.text(x, at, term, color="0.4")
            weight = "bold" if tone == "head" else "normal"
            page.text(x + TERM, at, part, color=TONES[tone], weight=weight)

    return Box(width, LINE * len(lines), draw)


def table_box(table: Table) -> Box:
    """Columns of text; numbers to the right. Words wrap where the table is too wide."""
    shown = table.texts()[:MOST_ROWS]
    words = [any(isinstance(r[i], str) for r in table.rows) for i in range(len(table.columns))]
    letters = [
        max(map(len, (name, *(row[i] for row in shown)))) for i, name in enumerate(table.columns)
    ]
    letters = _narrowed(letters, words, int(WIDEST / LETTER))
    lines = [
        [wrap(part, letters[i]) or [""] if words[i] else [part] for i, part in enumerate(row)]
        for row in [list(table.columns), *shown]
    ]
    starts = np.concatenate([[0.0], np.cumsum([(n + 2) * LETTER for n in letters])])
    rest = len(table.rows) - len(shown)
    notes = [*table.notes, *([f"and {rest} rows more"] if rest else [])]
    heights = [max(map(len, row)) for row in lines]

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, table.title, fontsize=9, weight="bold")
        at = y + TITLE
        for number, (row, height) in enumerate(zip(lines, heights, strict=True)):
            for i, parts in enumerate(row):
                edge = x + (starts[i] if words[i] else starts[i + 1] - 2 * LETTER)
                for line, part in enumerate(parts):
                    page.text(
                        float(edge),
                        at + line * LINE,
                        part,
                        ha="left" if words[i] else "right",
                        color="0.4" if number == 0 else "black",
                    )
            at += height * LINE
        for number, note in enumerate(notes):
            page.text(x, at + number * LINE, note, fontsize=7, color="0.35")

    height = TITLE + LINE * (sum(heights) + len(notes))
    return Box(min(max(float(starts[-1]), len(table.title) * LETTER), WIDEST), height, draw)


def _narrowed(letters: list[int], words: list[bool], room: int) -> list[int]:
    """The widest columns of words made narrower until all fit."""
    letters = list(letters)
    while sum(letters) + 2 * len(letters) > room:
        widest = max((i for i, is_word in enumerate(words) if is_word), key=letters.__getitem__,
                     default=None)  # fmt: skip
        if widest is None or letters[widest] <= LEAST_LETTERS:
            break
        letters[widest] -= 1
    return letters


def curves_box(curves: Curves) -> Box:
    """Lines, told apart by colour and by style."""
    width, height = CURVES

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, curves.title, fontsize=9, weight="bold")
        axes = page.axes(x + 0.55, y + TITLE, width - 0.55, height - TITLE - 0.4)
        for number, (name, values) in enumerate(curves.series):
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

    names = max((len(name) for name, _ in curves.series), default=0)
    return Box(width + 0.5 + names * LETTER, height, draw)
