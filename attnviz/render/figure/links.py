"""Links between two columns of tokens in a figure."""

from __future__ import annotations

from rich.cells import cell_len

from attnviz.render.figure.boxes import Box, Page
from attnviz.render.figure.colours import colour_map, token_colour
from attnviz.render.line_breaking import wrapped
from attnviz.views.kinds import Axis, Links

LETTER, LINE, TITLE, NOTE = 0.085, 0.24, 0.45, 0.15
MIDDLE = 2.4
THICKEST = 5.0
"""The line of the weight 1, in points."""
LONGEST_LABEL = 24
WEIGHT = 0.45


def links_box(links: Links) -> Box:
    """Left tokens, lines as thick as their weight, right tokens with their largest weight."""
    left, right = _labels(links.left), _labels(links.right)
    widths = [max(map(_size, labels), default=1) * LETTER for labels in (left, right)]
    n_line = max(len(left), len(right), 2)
    height = n_line * LINE
    width = max(widths[0] + MIDDLE + widths[1] + WEIGHT, cell_len(links.title) * LETTER * 1.05)
    about = ("line: thickness and shade by weight; the number: a token's largest weight",)
    notes = [
        line for note in (*about, *links.all_notes()) for line in wrapped(note, int(width / 0.06))
    ]

    def draw(page: Page, x: float, y: float) -> None:
        page.text(x, y, links.title, fontsize=9, weight="bold")
        page.text(x + widths[0], y + 0.24, links.left.name, fontsize=7, color="0.35", ha="right")
        page.text(x + widths[0] + MIDDLE, y + 0.24, links.right.name, fontsize=7, color="0.35")
        axes = page.axes(x + widths[0] + 0.06, y + TITLE, MIDDLE - 0.12, height)
        axes.set_xlim(0, 1)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        places = [_places(len(labels), height) for labels in (left, right)]
        colours = colour_map("sequential")
        for i, j, weight in links.lines():
            share = min(1.0, weight / (links.scale.high or 1))
            axes.plot(
                (0, 1),
                (places[0][j], places[1][i]),
                color=colours(0.25 + 0.75 * share),
                linewidth=THICKEST * share,
                solid_capstyle="butt",
            )
        for j, (label, place) in enumerate(zip(left, places[0], strict=True)):
            colour = token_colour(links.left, j)
            page.text(
                x + widths[0], y + TITLE + place, label, ha="right", va="center", color=colour
            )
        for i, (label, place) in enumerate(zip(right, places[1], strict=True)):
            at = x + widths[0] + MIDDLE
            colour = token_colour(links.right, i)
            page.text(at, y + TITLE + place, label, va="center", color=colour)
            strongest = links.strongest(i)
            if strongest is not None:
                page.text(
                    at + widths[1] + 0.1,
                    y + TITLE + place,
                    f"{strongest[1]:.2f}",
                    va="center",
                    color="0.35",
                    fontsize=7,
                )
        for number, note in enumerate(notes):
            at = y + TITLE + height + 0.08 + number * NOTE
            page.text(x, at, note, fontsize=7, color="0.35")

    return Box(width, TITLE + height + 0.1 + NOTE * len(notes), draw, flows=True)


def _labels(axis: Axis) -> list[str]:
    named = [f"{axis.index(i)} {label}".strip() for i, label in enumerate(axis.labels)]
    return [n if len(n) <= LONGEST_LABEL else n[: LONGEST_LABEL - 1] + "…" for n in named]


def _size(label: str) -> int:
    return sum(1 + (ord(char) > 0x1100) for char in label)


def _places(count: int, height: float) -> list[float]:
    """Inches from the top of each token, evenly spread over the whole height."""
    if count == 1:
        return [height / 2]
    return [LINE / 2 + i * (height - LINE) / (count - 1) for i in range(count)]
