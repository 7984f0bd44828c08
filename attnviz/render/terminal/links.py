"""Links between two columns of tokens, drawn in Braille dots; a list where there are none."""

from __future__ import annotations

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment

from attnviz.nn.types import Array
from attnviz.render.terminal.heatmap import label_style
from attnviz.render.terminal.screen import Block, Row, Screen, cell_style, fit, segment, style
from attnviz.render.terminal.text import heading, notes, row_width, wrap
from attnviz.views.kinds import Axis, Links

BRAILLE = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot of a Braille character, 4 rows × 2 columns."""

CANVAS = 24
MIN_CANVAS = 6
MAX_LABEL = 16
WEIGHT = 5
"""Room for a weight behind a token."""


def draw_links(links: Links, screen: Screen) -> Block:
    """Left tokens, lines, right tokens with their strongest weight."""
    left, right = _labels(links.left, screen), _labels(links.right, screen)
    strongest = [links.strongest(i) for i in range(len(links.right))]
    weights = ["" if s is None else f"{s[1]:.2f}" for s in strongest]
    widths = [max(map(cell_len, labels), default=0) for labels in (left, right)]
    available = screen.width - sum(widths) - WEIGHT - 3
    rows = heading(links.title, screen)
    rows.append([segment(f"left: {links.left.name}, right: {links.right.name}", style(dim=True))])
    if screen.unicode and available >= MIN_CANVAS:
        canvas = _canvas(links, min(CANVAS, available), screen)
        height = len(canvas)
        at_left, at_right = (_spread(len(axis), height) for axis in (links.left, links.right))
        for y in range(height):
            i, j = at_right.get(y), at_left.get(y)
            space, weight = segment(" "), "" if i is None else weights[i]
            rows.append(
                [
                    _token(links.left, left, j, widths[0], screen, right=True),
                    space,
                    *canvas[y],
                    space,
                    _token(links.right, right, i, widths[1], screen),
                    segment(f" {weight:>4}", style(dim=True)),
                ]
            )
    else:
        rows += _list(links, left, right, screen)
    about = ("the number: the largest weight of the token on the right", *links.all_notes())
    rows += notes((*about, links.scale.text), screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def _labels(axis: Axis, screen: Screen) -> list[str]:
    named = [screen.text(f"{axis.index(i)} {label}".strip()) for i, label in enumerate(axis.labels)]
    return [fit(name, min(cell_len(name), MAX_LABEL), screen) for name in named]


def _token(
    axis: Axis,
    labels: list[str],
    position: int | None,
    width: int,
    screen: Screen,
    right: bool = False,
) -> Segment:
    """The label of a token, or the room for one."""
    if position is None:
        return segment(" " * width)
    return segment(fit(labels[position], width, screen, right), label_style(axis, position))


def _spread(count: int, height: int) -> dict[int, int]:
    """The line of the screen of each token, evenly spread: line -> token."""
    if count == 1:
        return {(height - 1) // 2: 0}
    return {round(i * (height - 1) / (count - 1)): i for i in range(count)}


def _canvas(links: Links, width: int, screen: Screen) -> list[Row]:
    """Lines from left to right, up to three dots thick; heavier ones lie above."""
    height = max(len(links.left), len(links.right))
    dots = np.zeros((height * 4, width * 2), bool)
    heat = np.zeros((height, width))
    rows = [
        {token: line for line, token in _spread(len(axis), height).items()}
        for axis in (links.left, links.right)
    ]
    for i, j, weight in links.lines():
        share = min(1.0, max(0.0, weight / (links.scale.high or 1)))
        _line(dots, heat, rows[0][j], rows[1][i], share)
    return [[_cell(dots, heat, y, x, screen) for x in range(width)] for y in range(height)]


def _line(dots: Array, heat: Array, start: int, stop: int, share: float) -> None:
    n_x = dots.shape[1]
    thick = 1 + (share > 1 / 3) + (share > 2 / 3)
    for x in range(n_x):
        y = 4 * (start + (stop - start) * x / (n_x - 1)) + 1.5
        first = int(y - thick / 2 + 1)
        for row in range(max(0, first), min(first + thick, len(dots))):
            dots[row, x] = True
            heat[row // 4, x // 2] = max(heat[row // 4, x // 2], share)


def _cell(dots: Array, heat: Array, y: int, x: int, screen: Screen) -> Segment:
    code = int(DOTS[dots[4 * y : 4 * y + 4, 2 * x : 2 * x + 2]].sum())
    if not code:
        return segment(" ")
    colour = cell_style(float(heat[y, x]), screen)
    return segment(chr(BRAILLE + code), colour)


def _list(links: Links, left: list[str], right: list[str], screen: Screen) -> list[Row]:
    """`2 morning  <- 1 上 0.92, 0 早 0.08`."""
    width = max(map(cell_len, right), default=0)
    arrow = "←" if screen.unicode else "<-"
    rows: list[Row] = []
    for i, name in enumerate(right):
        lines = sorted((w, j) for k, j, w in links.lines() if k == i)[::-1]
        parts = ", ".join(f"{left[j]} {w:.2f}" for w, j in lines) or "-"
        text = f"{fit(name, width, screen)} {arrow} {parts}"
        rows += [[segment(part)] for part in wrap(text, screen.width, screen, width + 1, True)]
    return rows
