"""Tables on a screen."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len

from attnviz.language import say
from attnviz.render.terminal.screen import Block, Row, Screen, fit, segment, style
from attnviz.render.terminal.text import heading, notes, row_width, wrap
from attnviz.views.kinds import CellTone, Table

if TYPE_CHECKING:
    from rich.style import Style

MAX_ROWS = 60
MIN_WORDS = 14
MAX_NAMING = 3
"""Columns that name a row at most."""
GAP = 2
MAX_BELOW = 24
"""Rows of a table whose columns may go below one another; in a longer one nobody would find the
row again, and some are left out."""
WIDEST = 200

RULES = "    \n    \n ── \n    \n ╌╌ \n ╌╌ \n    \n    \n"
ASCII_RULES = "    \n    \n -- \n    \n -- \n -- \n    \n    \n"
"""Of Rich's tables: below the head, and between groups of rows."""

NUMBER = re.compile(r"([<>~±-]*[\d,]+)([\d.e+%-]*)")
"""The whole part of a number, and what follows it."""


class Column(NamedTuple):
    """One column as it is to be shown."""

    number: int
    head: str
    texts: list[str]
    is_words: bool

    @property
    def width(self) -> int:
        """What it takes if nothing wraps."""
        return max(map(cell_len, (self.head, *self.texts)))

    @property
    def narrowest(self) -> int:
        """What it takes at least: a word of the head, the numbers."""
        texts = max(map(cell_len, self.texts), default=0)
        word = max(map(cell_len, self.head.split(" ")))
        return max(word, min(texts, MIN_WORDS) if self.is_words else texts)


def draw_table(table: Table, screen: Screen) -> Block:
    """Columns side by side; columns of words wrap. In a short table the columns that do not fit
    go below, with those that name the row again; in a long one they are left out, and named."""
    columns = _columns(table, screen)
    rows = heading(table.title, screen)
    groups, left_out = _groups(columns, table, screen.width)
    for number, group in enumerate(groups):
        rows += [[]] * (number > 0) + _drawn(group, table, screen)
    below = list(table.notes)
    if len(table.rows) > MAX_ROWS:
        below.append(say("{n} of {total} rows shown", n=MAX_ROWS, total=len(table.rows)))
    if left_out:
        below.append(_left_out(left_out, columns))
    rows += notes(below, screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def _columns(table: Table, screen: Screen) -> list[Column]:
    texts = [[screen.text(text) for text in row] for row in table.texts()[:MAX_ROWS]]
    return [
        Column(
            number, screen.text(name), _aligned([row[number] for row in texts], is_words), is_words
        )
        for number, (name, is_words) in enumerate(zip(table.columns, table.is_words(), strict=True))
    ]


def _aligned(texts: list[str], among_words: bool) -> list[str]:
    """Numbers with blanks before or behind them, so that their points stand below one another;
    among words, which stand to the left, those that have a point at all."""
    parts = {text: len(match[2]) for text in texts if (match := NUMBER.fullmatch(text))}
    if among_words:
        if not any("." in text for text in parts):
            return texts
        parts = {text: len(text) - tail for text, tail in parts.items()}
    longest = max(parts.values(), default=0)
    blanks = {text: "\u00a0" * (longest - part) for text, part in parts.items()}
    if among_words:
        return [blanks.get(text, "") + text for text in texts]
    return [text + blanks.get(text, "") for text in texts]


def _groups(
    columns: list[Column], table: Table, width: int
) -> tuple[list[list[Column]], list[Column]]:
    """Columns that fit beside one another, and those that are left out."""
    if table.folds and len(table.rows) <= MAX_BELOW:
        return _below(columns, _naming(table), width), []
    kept: list[Column] = []
    remaining = width + GAP
    for number in dict.fromkeys((*table.importance, *range(len(columns)))):
        column = columns[number]
        whole = column.is_words and not table.folds and number not in table.importance[:2]
        needed = GAP + (column.width if whole else column.narrowest)
        if needed <= remaining or not kept:
            kept.append(column)
            remaining -= needed
    kept.sort(key=lambda column: column.number)
    return [kept], [column for column in columns if column not in kept]


def _naming(table: Table) -> int:
    """How many of the first columns name a row, so that no other has the same."""
    for count in range(1, min(MAX_NAMING, len(table.columns) - 1) + 1):
        if len({row[:count] for row in table.rows}) == len(table.rows):
            return count
    return 1


def _below(columns: list[Column], naming: int, width: int) -> list[list[Column]]:
    """The columns that name a row again in every group."""
    first = columns[:naming]
    if any(_total([*first, column]) > width for column in columns[naming:]):
        first = columns[:1]
    groups = [list(first)]
    for column in columns[len(first) :]:
        if _total([*groups[-1], column]) > width and len(groups[-1]) > len(first):
            groups.append(list(first))
        groups[-1].append(column)
    return groups


def _total(columns: Sequence[Column]) -> int:
    return sum(column.narrowest for column in columns) + GAP * (len(columns) - 1)


def _left_out(left_out: Sequence[Column], columns: Sequence[Column]) -> str:
    names = ", ".join(column.head for column in left_out)
    width = _total([c for c in columns if c not in left_out]) + sum(c.width + GAP for c in left_out)
    named = {"n": len(left_out), "total": len(columns), "names": names, "width": width}
    if width > WIDEST:
        return say("{n} of {total} columns left out: {names}; -o table.csv has all", **named)
    return say(
        "{n} of {total} columns left out: {names}; --width {width} or -o table.csv has all",
        **named,
    )


def _squeezed(columns: Sequence[Column], available: int) -> list[int]:
    """Narrow the widest columns until all fit, or none can give more."""
    widths = [column.width for column in columns]
    minimum = [column.narrowest for column in columns]
    excess = sum(widths) + GAP * (len(widths) - 1) - available
    for _ in range(excess):
        spare = [width - low for width, low in zip(widths, minimum, strict=True)]
        widest = spare.index(max(spare)) if max(spare) > 0 else widths.index(max(widths))
        widths[widest] = max(1, widths[widest] - 1)
    return widths


def _drawn(columns: Sequence[Column], table: Table, screen: Screen) -> list[Row]:
    """The columns as lines, laid out by Rich: it finds no markup in the texts, as they are no
    markup to it, and wraps nothing, as all lines are broken already."""
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    laid = RichTable(
        box=Box(RULES if screen.unicode else ASCII_RULES, ascii=not screen.unicode),
        show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0),
        border_style=style(dim=True), header_style=style(),
    )  # fmt: skip
    widths = _squeezed(columns, screen.width)
    for column, width in zip(columns, widths, strict=True):
        head = Text("\n".join(_cell(column.head, width, column, screen)))
        laid.add_column(head, width=width, no_wrap=True, overflow="crop", vertical="bottom")
    for row in range(len(columns[0].texts)):
        if row in table.groups and row:
            laid.add_section()
        cells = [
            Text(
                "\n".join(_cell(column.texts[row], width, column, screen)),
                _tone(table.tones.get((row, column.number))),
            )
            for column, width in zip(columns, widths, strict=True)
        ]
        height = max(len(cell.plain.split("\n")) for cell in cells)
        for cell in cells:  # lines are filled below, while those of the head are above
            cell.append("\n" * (height - len(cell.plain.split("\n"))))
        laid.add_row(*cells)
    console = Console(file=io.StringIO(), width=screen.width, color_system=None)
    return [_stripped(line) for line in console.render_lines(laid, pad=False)]


def _cell(text: str, width: int, column: Column, screen: Screen) -> list[str]:
    """The lines of a cell, each as wide as the column."""
    lines = (
        wrap(text, width, screen, split=True) if column.is_words or text == column.head else [text]
    )
    return [fit(line, width, screen, right=not column.is_words) for line in lines]


def _tone(tone: CellTone | None) -> Style:
    if tone is None:
        return style()
    return {
        "good": style(2),
        "bad": style(1, bold=True),
        "strong": style(bold=True),
        "faint": style(dim=True),
    }[tone]


def _stripped(row: Row) -> Row:
    """A line without the blanks at its end."""
    row = list(row)
    while row and not row[-1].text.strip():
        row.pop()
    return [*row[:-1], segment(row[-1].text.rstrip(), row[-1].style)] if row else row
