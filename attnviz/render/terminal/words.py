"""Tables, text and curves on a screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len

from attnviz.render.terminal.heatmap import heading, notes, row_width, wrap, wrapped_words
from attnviz.render.terminal.screen import Block, Row, Screen, fit, segment, style
from attnviz.views.kinds import Curves, Table, Text, short

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
TERM = 9
MOST_ROWS = 60
LEAST_WORDS = 16


def draw_text(text: Text, screen: Screen) -> Block:
    """Terms at the margin, their text beside them."""
    tones = {
        "plain": None,
        "head": style(bold=True),
        "note": style(3),
        "warning": style(1, bold=True),
    }
    names = [line.term for line in text.lines if line.term]
    term = min(max(TERM, *(len(name) + 2 for name in names), 0), screen.width // 3) if names else 0
    rows: list[Row] = []
    for line in text.lines:
        tone = tones[line.tone]
        for number, words in enumerate(wrapped_words(line.text, screen.width - term, screen)):
            name = fit(line.term if number == 0 else "", term, screen)
            row = [segment(name, style(dim=True))]
            for place, word in words:
                row += [segment(word, style(dim=True) if place in line.faint else tone)]
                row += [segment(" ", tone)]
            rows.append(row[:-1] if words else row)
    return Block(rows, max((row_width(row) for row in rows), default=0))


def draw_table(table: Table, screen: Screen) -> Block:
    """Columns side by side. Columns of words wrap; columns that do not fit go below, with the
    first one again."""
    shown = table.rows[:MOST_ROWS]
    texts = [[screen.text(text) for text in row] for row in table.texts()[:MOST_ROWS]]
    heads = [screen.text(name) for name in table.columns]
    words = [any(isinstance(row[i], str) for row in shown) for i in range(len(heads))]
    widths = [
        max(map(cell_len, (name, *(row[i] for row in texts)))) for i, name in enumerate(heads)
    ]
    least = [
        min(w, LEAST_WORDS if is_word else w) for w, is_word in zip(widths, words, strict=True)
    ]
    rows = heading(table.title, screen)
    groups = _groups(least, screen.width)
    for group in groups:
        fitted = _squeeze([widths[i] for i in group], [least[i] for i in group], screen.width)
        if group != groups[0]:
            rows.append([])
        for number, line in enumerate([heads, *texts]):
            tone = style(dim=True) if number == 0 else None
            cells = [(line[i], words[i]) for i in group]
            rows += [[segment(part, tone)] for part in _wrapped(cells, fitted, screen)]
    below = list(table.notes)
    if len(table.rows) > MOST_ROWS:
        below.append(f"{MOST_ROWS} of {len(table.rows)} rows shown")
    rows += notes(below, screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def draw_curves(curves: Curves, screen: Screen) -> Block:
    """A bar of eighths for each series, all on one scale."""
    bars = BARS if screen.unicode else ASCII_BARS
    every = np.concatenate([np.asarray(y, float) for _, y in curves.series])
    finite = every[np.isfinite(every)]
    low, high = float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))
    if not finite.size:
        low = high = 0.0
    names = max((cell_len(screen.text(name)) for name, _ in curves.series), default=0)
    names = min(names, screen.width // 3)
    room = max(8, screen.width - names - 1)
    rows = heading(curves.title, screen)
    cell = max(1, min(2, room // max(1, len(curves.x))))
    step = -(-len(curves.x) // room)
    for name, y in curves.series:
        level = (np.asarray(y, float)[::step] - low) / (high - low if high > low else 1)
        signs = [
            "?" if np.isnan(v) else bars[min(int(v * len(bars)), len(bars) - 1)] for v in level
        ]
        text = "".join(sign * cell for sign in signs)
        rows.append([segment(fit(name, names, screen) + " "), segment(text)])
    ends = f"{curves.x_name} {short(float(curves.x[0]))} to {short(float(curves.x[-1]))}"
    skipped = f", every {_ordinal(step)}" if step > 1 else ""
    scale = f"{curves.y_name} from {short(low)} ({bars[0]}) to {short(high)} ({bars[-1]})"
    rows += notes((f"{scale}; {ends}{skipped}", *curves.notes), screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def _ordinal(number: int) -> str:
    """`2nd`, `3rd`, `4th`, `11th`, `22nd`."""
    endings = {} if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{endings.get(number % 10, 'th')}"


def _groups(widths: Sequence[int], room: int) -> list[list[int]]:
    """Columns that fit beside one another, the first one in every group."""
    groups: list[list[int]] = [[0]]
    used = widths[0]
    for column in range(1, len(widths)):
        if used + 2 + widths[column] > room and len(groups[-1]) > 1:
            groups.append([0])
            used = widths[0]
        groups[-1].append(column)
        used += 2 + widths[column]
    return groups


def _squeeze(widths: list[int], least: list[int], room: int) -> list[int]:
    """Narrow the widest columns of words until all fit, or none can give more."""
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > room:
        spare = [width - low for width, low in zip(widths, least, strict=True)]
        if max(spare) <= 0:
            widest = widths.index(max(widths))
            widths[widest] = max(1, room - sum(widths) - 2 * (len(widths) - 1) + widths[widest])
            return widths
        widths[spare.index(max(spare))] -= 1
    return widths


def _wrapped(cells: Sequence[tuple[str, bool]], widths: Sequence[int], screen: Screen) -> list[str]:
    """One line of a table as the lines of the screen that it takes."""
    parts = [
        wrap(text, width, screen, whole=True) if is_word else [text]
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
