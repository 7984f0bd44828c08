"""Where lines may break: between words, and between the characters of scripts without spaces."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator

from rich.cells import cell_len, set_cell_size

Word = tuple[int, str]
"""A word, or what of it stands on this line, with its number in the text."""

MAX_PER_CELL = 8
"""Characters that may share a cell: a letter and its marks, of which a label has a few at most."""

NEVER_FIRST = {"Pe", "Pf", "Po", "Pd", "Mn", "Me", "Mc", "Cf", "Lm", "Sk"}
"""Categories of what closes, ends a clause or belongs to the character before it."""
NEVER_LAST = {"Ps", "Pi", "Cf"}


def fill(
    words: Iterable[str], width: int, shorten: Callable[[str], str] | None = None
) -> list[list[Word]]:
    """Lines of at most `width` cells; words on one line stand a space apart.

    What is too long for a line and has no place to break is shortened, or without `shorten`
    broken anywhere.
    """
    line: list[Word] = []
    lines = [line]
    text = ""
    for number, word in enumerate(words):
        for part in _parts(word, width, shorten):
            goes_on = bool(line) and line[-1][0] == number
            longer = text + part if goes_on or not line else f"{text} {part}"
            if line and cell_len(longer) > width:
                line, goes_on, longer = [], False, part
                lines.append(line)
            if goes_on:
                line[-1] = number, line[-1][1] + part
            elif line or part:
                line.append((number, part))
            text = longer
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells."""
    return [" ".join(word for _, word in line) for line in fill(text.split(" "), width)]


def _parts(word: str, width: int, shorten: Callable[[str], str] | None) -> Iterator[str]:
    """A word in parts that must not be broken, each of at most `width` cells."""
    for part in _unbroken(word):
        if cell_len(part) <= width:
            yield part
        elif shorten:
            yield shorten(part)
        else:
            start = 0
            while start < len(part):
                ahead = part[start : start + MAX_PER_CELL * (width + 1)]
                size = max(1, len(set_cell_size(ahead, width).rstrip()))
                while size > 1 and cell_len(ahead[:size]) > width:
                    size -= 1  # rich counts joined characters together, but cuts between them
                yield ahead[:size]
                start += size


def _unbroken(word: str) -> Iterator[str]:
    """A word, cut wherever it may be broken."""
    start = 0
    if not word.isascii():
        for position in range(1, len(word)):
            if _may_break(word[position - 1], word[position]):
                yield word[start:position]
                start = position
    yield word[start:]


def _may_break(before: str, after: str) -> bool:
    """Beside a wide character, but not before closing or after opening punctuation."""
    return (
        any(unicodedata.east_asian_width(char) in "WF" for char in (before, after))
        and unicodedata.category(before) not in NEVER_LAST
        and unicodedata.category(after) not in NEVER_FIRST
    )
