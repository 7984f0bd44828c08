"""An image and the heat maps over it on a screen: one below the other, for blended they deceive."""

from __future__ import annotations

import numpy as np
from rich.color import Color
from rich.style import Style

from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.render.terminal.grid import draw_grid
from attnviz.render.terminal.heatmap import shade_signs
from attnviz.render.terminal.screen import Block, Row, Screen, segment
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Picture
from attnviz.views.pooling import block_means

SIDE = 32
"""Pixels of an image on the screen, below and beside one another, if each is two columns wide; a
larger image has half a line and one column for each, and twice as many."""

SMALLEST = 16
"""Cells on the side of a map that are kept, for it is looked at as an image."""

BLACK, GREYS = 232, 24
"""The first of the greys among the 256 colours, and how many there are."""


def draw_picture(picture: Picture, screen: Screen, alone: bool = True) -> Block:
    """The image in its colours, or in shades, and below it each overlay as a small heatmap; the
    overlays only, if it is not `alone`."""
    rows: list[Row] = heading(picture.title, screen)
    if alone:
        rows += [*_image(picture, screen), []]
    title = say("over it") if alone else say("over the same image")
    rows += draw_grid(picture.grid()._replace(title=title), screen, SMALLEST).rows
    return Block(rows, max(row_width(row) for row in rows))


def _image(picture: Picture, screen: Screen) -> list[Row]:
    largest = max(picture.image.shape[:2])
    halves = screen.paints and screen.unicode and largest > min(SIDE, screen.width // 2)
    side = min(2 * SIDE, screen.width) if halves else min(SIDE, screen.width // 2)
    step = -(-largest // side)
    if not screen.paints:
        rows = [_shades(line, screen) for line in block_means(picture.grey(), step)]
    elif halves:
        rows = _half_blocks(_colours(block_means(picture.image, step)))
    else:
        rows = [_blocks(line) for line in _colours(block_means(picture.image, step))]
    return rows + notes(_about(picture, step, screen), screen.width, screen)


def _about(picture: Picture, step: int, screen: Screen) -> tuple[str, ...]:
    height, width = picture.image.shape[:2]
    in_colour = picture.image.ndim == 3 and screen.paints
    what = say("the image") if in_colour else say("the image, from black to white")
    pooled = say(
        "each cell: {down} × {across} of {height} × {width}, averaged",
        down=min(step, height),
        across=min(step, width),
        height=height,
        width=width,
    )
    return (what, pooled) if step > 1 else (what,)


def _colours(image: Array) -> list[list[Color]]:
    """[height, width] or [height, width, 3], 0 to 1: the colour of each pixel."""
    if image.ndim == 2:
        greys = np.minimum((image * GREYS).astype(int), GREYS - 1)
        return [[Color.from_ansi(BLACK + int(grey)) for grey in line] for line in greys]
    return [[Color.from_rgb(*(255 * pixel).round()) for pixel in line] for line in image]


def _blocks(line: list[Color]) -> Row:
    """Two columns a pixel, so that it looks square."""
    return [segment("  ", Style(bgcolor=colour)) for colour in line]


def _half_blocks(lines: list[list[Color]]) -> list[Row]:
    """Two pixels a column, one above the other; nothing below the last of an odd number."""
    lower: list[list[Color] | list[None]] = [
        *lines[1::2],
        *[[None] * len(lines[0])][: len(lines) % 2],
    ]
    return [
        [segment("▀", Style(color=a, bgcolor=b)) for a, b in zip(above, below, strict=True)]
        for above, below in zip(lines[::2], lower, strict=True)
    ]


def _shades(line: Array, screen: Screen) -> Row:
    """Without colours, two columns a pixel."""
    return [segment("".join(2 * shade_signs(float(value), screen) for value in line))]
