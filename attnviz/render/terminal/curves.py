"""Curves on a screen, as bars."""

from __future__ import annotations

import numpy as np
from rich.cells import cell_len

from attnviz.render.terminal.screen import Block, Screen, fit, segment
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Curves
from attnviz.views.numbers import short

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-=+*%#"


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
    available = max(8, screen.width - names - 1)
    rows = heading(curves.title, screen)
    cell = max(1, min(2, available // max(1, len(curves.x))))
    step = -(-len(curves.x) // available)
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
