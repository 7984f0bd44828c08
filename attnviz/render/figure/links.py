"""Links between two columns of tokens in a figure."""

from __future__ import annotations

from matplotlib.axes import Axes
from rich.cells import cell_len

from attnviz.render.figure.boxes import Box, Page
from attnviz.render.figure.colours import colour_map, token_colour
from attnviz.render.line_breaking import wrapped
from attnviz.views.kinds import Axis, Links

LETTER, LINE, TITLE, NOTE = 0.085, 0.24, 0.45, 0.15
MIDDLE = 2.4
THICKEST = 5.0
"""The line of the weight 1, in points."""
MAX_LABEL = 24
WEIGHT = 0.45


def links_box(links: Links) -> Box:
    """Left tokens, lines as thick as their weight, right tokens with their largest weight."""
    left, right = _labels(links.left), _labels(links.right)
    widths = [max(map(_size, labels), default=1) * LETTER for labels in (left, right)]
    height = max(len(left), len(right), 2) * LINE
    at_left, at_right = (_heights(len(labels), height) for labels in (left, right))
    width = max(widths[0] + MIDDLE + widths[1] + WEIGHT, cell_len(links.title) * LETTER * 1.05)
    about = "line: thickness and shade by weight; the number: a token's largest weight"
    notes = [
        line for note in (about, *links.all_notes()) for line in wrapped(note, int(width / 0.06))
    ]

    def draw(page: Page, x: float, y: float) -> None:
        start, end, top = x + widths[0], x + widths[0] + MIDDLE, y + TITLE
        page.text(x, y, links.title, fontsize=9, weight="bold")
        page.text(start, y + 0.24, links.left.name, fontsize=7, color="0.35", ha="right")
        page.text(end, y + 0.24, links.right.name, fontsize=7, color="0.35")
        axes = page.axes(start + 0.06, top, MIDDLE - 0.12, height)
        axes.set_ylim(height, 0)
        _lines(axes, links, at_left, at_right)
        _tokens(page, start, top, links.left, left, at_left, "right")
        _tokens(page, end, top, links.right, right, at_right, "left")
        _weights(page, end + widths[1] + 0.1, top, links, at_right)
        for number, note in enumerate(notes):
            page.text(x, top + height + 0.08 + number * NOTE, note, fontsize=7, color="0.35")

    return Box(width, TITLE + height + 0.1 + NOTE * len(notes), draw, flows=True)


def _lines(axes: Axes, links: Links, at_left: list[float], at_right: list[float]) -> None:
    axes.set_xlim(0, 1)
    axes.set_axis_off()
    colours = colour_map("sequential")
    for i, j, weight in links.lines():
        share = min(1.0, weight / (links.scale.high or 1))
        axes.plot(
            (0, 1),
            (at_left[j], at_right[i]),
            color=colours(0.25 + 0.75 * share),
            linewidth=THICKEST * share,
            solid_capstyle="butt",
        )


def _tokens(
    page: Page, x: float, y: float, axis: Axis, labels: list[str], heights: list[float], side: str
) -> None:
    """A column of labels, aligned at the side of the lines."""
    for i, (label, height) in enumerate(zip(labels, heights, strict=True)):
        page.text(x, y + height, label, ha=side, va="center", color=token_colour(axis, i))


def _weights(page: Page, x: float, y: float, links: Links, heights: list[float]) -> None:
    """The largest weight of each token on the right."""
    for i, height in enumerate(heights):
        if (strongest := links.strongest(i)) is not None:
            text = f"{strongest[1]:.2f}"
            page.text(x, y + height, text, va="center", color="0.35", fontsize=7)


def _labels(axis: Axis) -> list[str]:
    named = [f"{axis.index(i)} {label}".strip() for i, label in enumerate(axis.labels)]
    return [n if len(n) <= MAX_LABEL else n[: MAX_LABEL - 1] + "…" for n in named]


def _size(label: str) -> int:
    return sum(1 + (ord(char) > 0x1100) for char in label)


def _heights(count: int, height: float) -> list[float]:
    """Inches from the top of each token, evenly spread over the whole height."""
    if count == 1:
        return [height / 2]
    return [LINE / 2 + i * (height - LINE) / (count - 1) for i in range(count)]
