"""Links between two columns of tokens in a figure."""

from __future__ import annotations

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from attnviz.language import say
from attnviz.render.figure.boxes import Box, Page
from attnviz.render.figure.colours import category, token_colour
from attnviz.render.figure.labels import CUT, DEEPEST, shortened
from attnviz.render.figure.text_layout import SMALL, TEXT, lines_of, title_width, width_of
from attnviz.render.palette import COLOURS
from attnviz.views.kinds import Axis, Links

LINE, TITLE, NAMES, NOTE = 0.24, 0.45, 0.21, 0.15
MIDDLE = 2.4
THICKEST = 5.0
"""The line of the weight 1, in points."""
EDGE = 1.6
WEIGHT = 0.45


def links_box(links: Links, bare: bool = False) -> Box:
    """Left tokens, lines as thick as their weight, right tokens with their largest weight."""
    left, right = _labels(links.left, bare), _labels(links.right, bare)
    widths = [max(map(width_of, labels), default=0.0) + 0.08 for labels in (left, right)]
    height = max(len(left), len(right), 2) * LINE
    at_left, at_right = (_heights(len(labels), height) for labels in (left, right))
    width = max(widths[0] + MIDDLE + widths[1] + WEIGHT, title_width(links.title))
    head = TITLE if links.title else NAMES
    colours = _colours(links)
    about = [
        say("a line has the colour of its token on the left"),
        say("the thicker a line, the larger the weight; the number: a token's largest weight"),
    ]
    if len(colours) > len(COLOURS["light"].categories):
        n_colour = len(COLOURS["light"].categories)
        about.append(say("the colours repeat after {n} tokens", n=n_colour))
    if any(label.endswith(CUT) for label in (*left, *right)):
        about.append(say("labels that end in {sign} are cut", sign=CUT))
    said = () if bare else (*about, *links.all_notes())
    notes = [line for note in said for line in lines_of(note, width, SMALL)]

    def draw(page: Page, x: float, y: float) -> None:
        start, end, top = x + widths[0], x + widths[0] + MIDDLE, y + head
        page.text(x, y, links.title, fontsize=9, weight="bold")
        page.text(start, top - NAMES, links.left.name, fontsize=7, color="0.35", ha="right")
        page.text(end, top - NAMES, links.right.name, fontsize=7, color="0.35")
        axes = page.axes(start + 0.06, top, MIDDLE - 0.12, height)
        axes.set_ylim(height, 0)
        _lines(axes, links, at_left, at_right)
        _tokens(page, start, top, links.left, left, at_left, "right", colours)
        _tokens(page, end, top, links.right, right, at_right, "left", {})
        _weights(page, end + widths[1] + 0.1, top, links, at_right)
        for number, note in enumerate(notes):
            page.text(x, top + height + 0.08 + number * NOTE, note, fontsize=7, color="0.35")

    return Box(width, head + height + 0.1 + NOTE * len(notes), draw, flows=True)


def _lines(axes: Axes, links: Links, at_left: list[float], at_right: list[float]) -> None:
    """Each level at both ends, and with a white edge, so that of two that cross one passes
    above; a path is drawn twice rather than given an effect, which PDF would make a picture of."""
    axes.set_xlim(0, 1)
    axes.set_axis_off()
    colours = _colours(links)
    for i, j, weight in links.lines():
        width = THICKEST * min(1.0, weight / (links.scale.high or 1))
        start, stop = at_left[j], at_right[i]
        curve = Path([(0, start), (0.45, start), (0.55, stop), (1, stop)],
                     [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])  # fmt: skip
        page = rcParams["figure.facecolor"]
        for colour, thickness in ((page, width + EDGE), (colours[j], width)):
            patch = PathPatch(curve, edgecolor=colour, facecolor="none", linewidth=thickness)
            patch.set_capstyle("butt")
            axes.add_patch(patch)


def _colours(links: Links) -> dict[int, str]:
    """The colour of each token on the left that has a line."""
    used = sorted({j for _, j, _ in links.lines()})
    return {j: category(number) for number, j in enumerate(used)}


def _tokens(
    page: Page,
    x: float,
    y: float,
    axis: Axis,
    labels: list[str],
    heights: list[float],
    side: str,
    colours: dict[int, str],
) -> None:
    """A column of labels, aligned at the side of the lines."""
    for i, (label, height) in enumerate(zip(labels, heights, strict=True)):
        colour = token_colour(axis, i)
        colour = colour if axis.is_special(i) else colours.get(i, colour)
        page.text(x, y + height, label, ha=side, va="center", color=colour)


def _weights(page: Page, x: float, y: float, links: Links, heights: list[float]) -> None:
    """The largest weight of each token on the right."""
    for i, height in enumerate(heights):
        if (strongest := links.strongest(i)) is not None:
            text = f"{strongest[1]:.2f}"
            page.text(x, y + height, text, va="center", color="0.35", fontsize=7)


def _labels(axis: Axis, bare: bool) -> list[str]:
    named = [
        label if bare and label else f"{axis.index(i)} {label}".strip()
        for i, label in enumerate(axis.labels)
    ]
    return [shortened(name, DEEPEST, TEXT) for name in named]


def _heights(count: int, height: float) -> list[float]:
    """Inches from the top of each token, evenly spread over the whole height."""
    if count == 1:
        return [height / 2]
    return [LINE / 2 + i * (height - LINE) / (count - 1) for i in range(count)]
