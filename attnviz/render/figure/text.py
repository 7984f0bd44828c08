"""Text in a figure: lines at their places, and the view that is text only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from attnviz.render.figure.boxes import Box, Page
from attnviz.render.figure.text_layout import (
    BOLD,
    SMALL,
    TEXT,
    TITLE,
    lines_of,
    title_lines,
    width_of,
)
from attnviz.views.kinds import Text

MAX_WIDTH = 6.7
"""Of text and of tables whose words can wrap."""
LINE, HEAD = 0.165, 0.26
TERM = 0.75
SPACE, BETWEEN = 0.15, 0.06
"""Between columns, and between paragraphs or rows of several lines."""
HEADING = 11.0
TONES = {"plain": "black", "head": "black", "note": "#8a6d00", "warning": "#b00020"}


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
        for part in lines_of(line.text, MAX_WIDTH - margin, points * (BOLD if bold else 1)):
            words.append(Words(margin, y, part, points, TONES[line.tone], bold))
            y += LINE * points / TEXT
        y += 0 if terms else BETWEEN
    return words_box(words, y)


def title_words(title: str) -> tuple[list[Words], float]:
    """The title, and how far down it goes."""
    if not title:
        return [], 0.0
    parts = title_lines(title, MAX_WIDTH)
    words = [Words(0, i * LINE, part, TITLE, bold=True) for i, part in enumerate(parts)]
    return words, HEAD + LINE * (len(parts) - 1)


def note_words(notes: Sequence[str], y: float, width: float) -> tuple[list[Words], float]:
    """What is said below, and how far down it goes."""
    parts = [part for note in notes for part in lines_of(note, width, SMALL)]
    words = [Words(0, y + i * LINE, part, SMALL, "0.35") for i, part in enumerate(parts)]
    return words, y + LINE * len(parts)
