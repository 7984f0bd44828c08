"""Curves on a screen: lines in Braille dots with axes, one colour and one letter a curve.

Without Braille each curve is drawn in its letter. (plotext would take a quarter of a second to be
imported, and keeps one figure for the whole process.)
"""

from __future__ import annotations

from itertools import pairwise
from string import ascii_letters
from typing import NamedTuple

import numpy as np
from rich.cells import cell_len

from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.render.palette import COLOURS
from attnviz.render.terminal.links import BRAILLE, DOTS
from attnviz.render.terminal.screen import Block, Row, Screen, category_style, fit, segment, style
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Curves
from attnviz.views.numbers import short

WIDEST = 100
"""Columns of the plot: longer curves are not read better."""
NEAR = 0.08
"""A round value so near beyond the end of the curves, in shares of their range, ends the axis."""
LABEL_GAP = 12
"""Columns between the places where a curve shows its letter, at least."""


class Plane(NamedTuple):
    """Where values are drawn: columns and lines of the screen, and what their edges stand for."""

    width: int
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool
    fine: tuple[int, int]
    """Dots of one character, across and down."""

    def across(self, x: Array) -> Array:
        """Places of dots from the left, for values of x."""
        x = np.log2(x) if self.log_x else x
        low, high = self.x
        return (x - low) / (high - low) * (self.width * self.fine[0] - 1)

    def down(self, y: Array) -> Array:
        """Places of dots from the top, for values of y."""
        low, high = self.y
        share = (high / 2 - y / 2) / (high / 2 - low / 2)  # the whole range may be infinite
        return share * (self.height * self.fine[1] - 1)


def draw_curves(curves: Curves, screen: Screen) -> Block:
    """Title, a legend of letters, the plane with its axes, and what there is to say."""
    rows = [*heading(curves.title, screen), *_legend(curves, screen)]
    y_range = _y_range(curves)
    y_ticks = _y_ticks(*y_range)
    names = [short(tick) for tick in y_ticks]
    if len({*names}) < len(names):  # they differ in later digits
        names = [f"{tick:.10g}" for tick in y_ticks]
    gutter = max(map(cell_len, names))
    plane = _plane(curves, y_range, screen, gutter + 1)
    lines = _lines(curves, plane, screen)
    at = {round(float(plane.down(np.array(t)))) // plane.fine[1]: n
          for t, n in zip(y_ticks, names, strict=True)}  # fmt: skip
    dim, (tick, wall) = style(dim=True), "┤│" if screen.unicode else "+|"
    rows += notes((curves.y_name,), screen.width, screen)
    for number, line in enumerate(lines):
        name = at.get(number)
        edge = (name or "").rjust(gutter) + (tick if name else wall)
        rows.append([segment(edge, dim), *line])
    rows += [[segment(line, dim)] for line in _x_axis(curves, plane, gutter, screen)]
    rows += notes((*_about(curves, screen), *curves.notes), screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def _legend(curves: Curves, screen: Screen) -> list[Row]:
    """`a up   b down`, each in its colour, in as many lines as it takes."""
    rows: list[Row] = [[]]
    for number, (name, _) in enumerate(curves.series):
        text = screen.text(f"{_letter(number)} {name}")
        text = fit(text, min(cell_len(text), screen.width), screen)
        if rows[-1] and row_width(rows[-1]) + 3 + cell_len(text) > screen.width:
            rows.append([])
        if rows[-1]:
            rows[-1].append(segment("   "))
        rows[-1].append(segment(text, category_style(number, screen)))
    return rows


def _letter(number: int) -> str:
    return ascii_letters[number % len(ascii_letters)]


def _about(curves: Curves, screen: Screen) -> tuple[str, ...]:
    """What the drawing does not show by itself."""
    about = []
    missing = sum(int((~np.isfinite(np.asarray(y, float))).sum()) for _, y in curves.series)
    if missing:
        about.append(say("{n} values are not numbers and not drawn", n=missing))
    n_colour = len(COLOURS[screen.background].categories)
    if screen.depth and len(curves.series) > n_colour:
        about.append(say("the colours repeat after {n} curves: the letters do not", n=n_colour))
    return tuple(about)


def _y_range(curves: Curves) -> tuple[float, float]:
    """The lowest and highest value; a level line stands in the middle."""
    every = np.concatenate([np.asarray(y, float) for _, y in curves.series])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    if high / 2 - low / 2 <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) / 2 or 0.5
        return low - margin, high + margin
    step = _round_step(high / 5 - low / 5)
    first, last = step * np.floor(low / step), step * np.ceil(high / step)
    near = NEAR * (high - low)  # not if the range is infinite
    return (float(first) if low - first < near else low,
            float(last) if last - high < near else high)  # fmt: skip


def _y_ticks(low: float, high: float) -> list[float]:
    """Round values within the range, five or so."""
    step = _round_step(high / 5 - low / 5)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [float(step * i) + 0.0 for i in np.arange(first, last + 1)]  # + 0.0: none is -0


def _round_step(exact: float) -> float:
    """1, 2 or 5 times a power of ten, the nearest above."""
    if not (np.isfinite(exact) and exact > 0):
        return 1.0
    power = float(10.0 ** np.floor(np.log10(exact)))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= exact * (1 - 1e-9))


def _plane(curves: Curves, y_range: tuple[float, float], screen: Screen, gutter: int) -> Plane:
    x = np.asarray(curves.x, float)
    x = np.log2(x) if curves.log_x else x
    low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = max(8, min(WIDEST, screen.width - gutter))
    height = 8 if screen.width < 60 else 10 if screen.width < 110 else 12
    fine = (2, 4) if screen.unicode else (1, 1)
    return Plane(width, height, (low, high), y_range, curves.log_x, fine)


def _lines(curves: Curves, plane: Plane, screen: Screen) -> list[Row]:
    """The characters of the plane: of several curves in one, the last is seen."""
    columns, lines = plane.fine
    owners = np.full((plane.height * lines, plane.width * columns), -1)
    letters: dict[tuple[int, int], int] = {}
    for number, (_, y) in enumerate(curves.series):
        places = _dots(np.asarray(curves.x, float), np.asarray(y, float), plane)
        owners[places[:, 1], places[:, 0]] = number
        _place_letters(letters, number, len(curves.series), places // plane.fine, plane)
    rows = []
    for line in range(plane.height):
        row: Row = []
        for column in range(plane.width):
            part = owners[lines * line :][:lines, columns * column :][:, :columns]
            owner, sign = int(part.max()), " "
            if (column, line) in letters:
                owner = letters[column, line]
                sign = _letter(owner)
            elif owner >= 0:
                dots = int(DOTS[part == owner].sum()) if screen.unicode else 0
                sign = chr(BRAILLE + dots) if dots else _letter(owner)
            row.append(segment(sign, category_style(owner, screen) if sign != " " else None))
        rows.append(row)
    return rows


def _dots(x: Array, y: Array, plane: Plane) -> Array:
    """The dots of a curve, [n, 2] (across, down): straight lines between its points, none from
    or to what is not a number."""
    points = np.stack([plane.across(x), plane.down(y)], -1)
    drawn = [points[np.isfinite(y)]]
    for start, stop in pairwise(points):
        if np.isfinite(start).all() and np.isfinite(stop).all():
            steps = int(np.abs(stop - start).max()) + 1
            drawn.append(start + np.linspace(0, 1, steps + 1)[:, None] * (stop - start))
    return np.unique(np.concatenate(drawn).round().astype(int), axis=0)


def _place_letters(
    letters: dict[tuple[int, int], int], number: int, n_curve: int, cells: Array, plane: Plane
) -> None:
    """Its letter on a curve here and there, where no other has one; curves take turns."""
    gap = max(LABEL_GAP, 3 * n_curve)
    for first in range((2 + 3 * number) % gap, plane.width, gap):
        within = cells[(cells[:, 0] >= first) & (cells[:, 0] < first + gap)]
        for column, line in within.tolist():
            if (column, line) not in letters:
                letters[column, line] = number
                break


def _x_axis(curves: Curves, plane: Plane, gutter: int, screen: Screen) -> list[str]:
    """The line below the plane with its ticks, their values, and what they are values of."""
    tick, corner, floor = "┬└─" if screen.unicode else "++-"
    ticks = [*floor * plane.width]
    values = [" "] * (plane.width + gutter + 1)
    end = -1
    for x in _x_ticks(curves, plane):
        column = round(float(plane.across(np.array(x)))) // plane.fine[0]
        text = short(x)
        start = max(0, min(gutter + 1 + column - len(text) // 2, len(values) - len(text)))
        if start <= end:
            continue
        ticks[column] = tick
        values[start : start + len(text)] = text
        end = start + len(text)
    margin = " " * gutter
    scale = say("{name}, logarithmic", name=curves.x_name) if curves.log_x else curves.x_name
    name = fit(screen.text(scale), plane.width, screen, right=True)
    return [margin + corner + "".join(ticks), "".join(values).rstrip(), f"{margin} {name}"]


def _x_ticks(curves: Curves, plane: Plane) -> list[float]:
    """The points themselves where they are few or on a logarithmic axis, else round values."""
    x = np.asarray(curves.x, float)
    if curves.log_x or len(x) <= plane.width // 8:
        return [float(value) for value in x]
    low, high = plane.x
    step = _round_step((high - low) / max(4, plane.width // 12))
    if np.array_equal(x, x.round()):
        step = max(1.0, step)
    return [float(step * i) for i in np.arange(np.ceil(low / step), np.floor(high / step) + 1)]
