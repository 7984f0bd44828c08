"""Tables on a screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from attnviz.render.terminal.screen import Block, Screen, fit, segment, style
from attnviz.render.terminal.text import heading, notes, row_width, wrap
from attnviz.views.kinds import Table

MAX_ROWS = 60
MIN_WORDS = 16


def draw_table(table: Table, screen: Screen) -> Block:
    """Columns side by side. Columns of words wrap; columns that do not fit go below, with the
    first one again."""
    shown = table.rows[:MAX_ROWS]
    texts = [[screen.text(text) for text in row] for row in table.texts()[:MAX_ROWS]]
    heads = [screen.text(name) for name in table.columns]
    words = [any(isinstance(row[i], str) for row in shown) for i in range(len(heads))]
    widths = [
        max(map(cell_len, (name, *(row[i] for row in texts)))) for i, name in enumerate(heads)
    ]
    minimum = [
        min(w, MIN_WORDS if is_word else w) for w, is_word in zip(widths, words, strict=True)
    ]
    rows = heading(table.title, screen)
    groups = _groups(minimum, screen.width)
    for group in groups:
        fitted = _squeeze([widths[i] for i in group], [minimum[i] for i in group], screen.width)
        if group != groups[0]:
            rows.append([])
        for number, line in enumerate([heads, *texts]):
            tone = style(dim=True) if number == 0 else None
            cells = [(line[i], words[i]) for i in group]
            rows += [[segment(part, tone)] for part in _wrapped(cells, fitted, screen)]
    below = list(table.notes)
    if len(table.rows) > MAX_ROWS:
        below.append(f"{MAX_ROWS} of {len(table.rows)} rows shown")
    rows += notes(below, screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def _groups(widths: Sequence[int], available: int) -> list[list[int]]:
    """Columns that fit beside one another, the first one in every group."""
    groups: list[list[int]] = [[0]]
    used = widths[0]
    for column in range(1, len(widths)):
        if used + 2 + widths[column] > available and len(groups[-1]) > 1:
            groups.append([0])
            used = widths[0]
        groups[-1].append(column)
        used += 2 + widths[column]
    return groups


def _squeeze(widths: list[int], minimum: list[int], available: int) -> list[int]:
    """Narrow the widest columns of words until all fit, or none can give more."""
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > available:
        spare = [width - low for width, low in zip(widths, minimum, strict=True)]
        if max(spare) <= 0:
            widest = widths.index(max(widths))
            widths[widest] = max(
                1, available - sum(widths) - 2 * (len(widths) - 1) + widths[widest]
            )
            return widths
        widths[spare.index(max(spare))] -= 1
    return widths


def _wrapped(cells: Sequence[tuple[str, bool]], widths: Sequence[int], screen: Screen) -> list[str]:
    """One line of a table as the lines of the screen that it takes."""
    parts = [
        wrap(text, width, screen, split=True) if is_word else [text]
        for (text, is_word), width in zip(cells, widths, strict=True)
    ]
    lines = []
    for number in range(max(map(len, parts))):
        line = [
            fit(part[number] if number < len(part) else "", width, screen, right=not is_word)
            for part, width, (_, is_word) in zip(parts, widths, cells, strict=True)
        ]
        lines.append("  ".join(line).rstrip())
    return lines
