"""Text on a screen: wrapped lines, headings, notes, and the view that is text only."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from attnviz.render.line_breaking import Word, fill
from attnviz.render.terminal.screen import Block, Row, Screen, fit, segment, style
from attnviz.views.kinds import Text

TERM = 9
COMMAND = "$ attnviz "
"""How something to be typed begins: no part of it is cut off."""


def draw_text(text: Text, screen: Screen) -> Block:
    """Terms at the margin, their text beside them."""
    tones = {
        "plain": None,
        "head": style(bold=True),
        "note": style(3),
        "warning": style(1, bold=True),
    }
    names = [cell_len(line.term) + 2 for line in text.lines if line.term]
    term = min(max(TERM, *names), screen.width // 3) if names else 0
    rows: list[Row] = []
    for line in text.lines:
        tone = tones[line.tone]
        whole = line.whole or line.text.startswith(COMMAND)
        width = screen.width - term
        for number, words in enumerate(wrapped_words(line.text, width, screen, split=whole)):
            name = fit(line.term if number == 0 else "", term, screen)
            row = [segment(name, style(dim=True))]
            for position, word in words:
                row += [segment(word, style(dim=True) if position in line.faint else tone)]
                row += [segment(" ", tone)]
            rows.append(row[:-1] if words else row)
    return Block(rows, max((row_width(row) for row in rows), default=0))


def wrap(text: str, width: int, screen: Screen, indent: int = 0, split: bool = False) -> list[str]:
    """Lines of at most `width` cells, broken between words; a word that is longer is cut, or
    with `split` broken, so that it can be copied."""
    lines = [
        " ".join(word for _, word in line)
        for line in wrapped_words(text, width - indent, screen, split)
    ]
    return [lines[0], *(" " * indent + rest for rest in lines[1:])]


def wrapped_words(text: str, width: int, screen: Screen, split: bool = False) -> list[list[Word]]:
    """The words of `wrap`, a list a line, each with its number in the text."""
    words = screen.text(text.replace(" ", "\0").replace("\u00a0", "\1")).split("\0")
    shorten = None if split else lambda word: fit(word, width, screen)
    return fill((word.replace("\1", " ") for word in words), width, shorten)


def row_width(row: Row) -> int:
    return sum(cell_len(part.text) for part in row)


def heading(text: str, screen: Screen) -> list[Row]:
    """The title of a view, in as many lines as it takes."""
    return [[segment(line, style(bold=True))] for line in wrap(text, screen.width, screen)]


def notes(texts: Sequence[str], width: int, screen: Screen) -> list[Row]:
    """What is said below a drawing."""
    return [
        [segment(line, style(dim=True))] for text in texts for line in wrap(text, width, screen)
    ]
