"""An image and the heat maps over it on a screen: one below the other, for blended they deceive."""

from __future__ import annotations

from attnviz.nn.types import Array
from attnviz.render.terminal.grid import draw_grid
from attnviz.render.terminal.heatmap import heading, notes, row_width, shade_text
from attnviz.render.terminal.screen import Block, Row, Screen, segment, style
from attnviz.views.kinds import Picture, pool

SIDE = 32
"""Rows and columns of an image on the screen, at the most."""

BLACK, GREYS = 232, 24
"""The first of the greys among the 256 colours, and how many there are."""


def draw_picture(picture: Picture, screen: Screen) -> Block:
    """The image in greys, and below it each overlay as a small heatmap."""
    image = picture.heatmap("", picture.grey())
    side = min(SIDE, screen.width // 2)
    step = -(-max(image.values.shape) // side)
    image = pool(image, *(min(step, n) for n in image.values.shape))
    rows: list[Row] = heading(picture.title, screen)
    rows += [_pixels(line, screen) for line in image.values]
    rows += notes(("the image, from black to white", *image.notes), screen.width, screen)
    rows += [[], *draw_grid(picture.grid()._replace(title="over it"), screen).rows]
    return Block(rows, max(row_width(row) for row in rows))


def _pixels(line: Array, screen: Screen) -> Row:
    """Two columns a pixel, so that it looks square."""
    if not screen.paints:
        return [segment("".join(2 * shade_text(float(value), screen) for value in line))]
    greys = [BLACK + min(int(float(value) * GREYS), GREYS - 1) for value in line]
    return [segment("  ", style(background=grey)) for grey in greys]
