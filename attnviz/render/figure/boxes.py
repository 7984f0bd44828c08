"""A figure as a column of boxes, in inches from the upper left corner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple
from unicodedata import bidirectional

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnviz.render.figure.text_layout import TEXT, on_page, points

MAX_WIDTH = 13.0
MARGIN = 0.15
GAP = 0.25

Draw = Callable[["Page", float, float], None]
"""`draw(page, x, y)`: draw with the upper left corner there."""


class Box(NamedTuple):
    """Something to draw and the room that it takes."""

    width: float
    height: float
    draw: Draw
    flows: bool = False
    """Whether it may stand beside its neighbour."""
    said: tuple[str, ...] = ()
    """What has to be known of it and does not stand in the figure."""
    group: str = ""
    """Neighbours of one group stay beside one another where they fit."""


class Room(NamedTuple):
    """What a box has to fit into; of any height where that is None."""

    width: float
    height: float | None = None


class Page(NamedTuple):
    """A figure that is drawn on downwards, in inches of labels of 8 points: where these are of 16,
    everything is twice as large."""

    figure: Figure
    width: float
    height: float

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """New axes, with the upper left corner at (x, y)."""
        bottom = self.height - y - height
        return self.figure.add_axes(
            (x / self.width, bottom / self.height, width / self.width, height / self.height)
        )

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Text with its upper left corner at (x, y), unless `style` aligns it otherwise."""
        place: dict[str, Any] = {"va": "top", "ha": "left", "fontsize": TEXT} | style
        place |= {
            "fontsize": points(place["fontsize"]),
            "color": on_page(place.get("color", "black")),
        }
        at = x / self.width, 1 - y / self.height
        self.figure.text(*at, left_to_right(text), **place)


LEFT_TO_RIGHT = "\u200e"


def left_to_right(text: str) -> str:
    """The text with its words in their order, whichever way each of them runs: without this, a
    Hebrew token would carry the indices around it to its other side."""
    if text.isascii() or not any(bidirectional(char) in ("R", "AL", "AN") for char in text):
        return text
    return LEFT_TO_RIGHT + text.replace(" ", f"{LEFT_TO_RIGHT} {LEFT_TO_RIGHT}")


def lay_out(
    boxes: Sequence[Box], margin: float = MARGIN
) -> tuple[float, float, list[tuple[Box, float, float]]]:
    """Width, height and the place of every box: rows of those that flow, else one a row."""
    placed: list[tuple[Box, float, float]] = []
    x, y, row_height, width = margin, margin, 0.0, 0.0
    flowing = False
    for number, box in enumerate(boxes):
        ahead = _group_width(boxes[number:]) if _begins_group(boxes, number) else box.width
        ends = number > 0 and bool(boxes[number - 1].group) and not box.group
        beside = flowing and box.flows and not ends and x + ahead <= MAX_WIDTH
        if placed and not beside:
            x, y, row_height = margin, y + row_height + GAP, 0.0
        placed.append((box, x, y))
        x += box.width + GAP
        width = max(width, x - GAP + margin)
        row_height = max(row_height, box.height)
        flowing = box.flows
    return width, y + row_height + margin, placed


def _begins_group(boxes: Sequence[Box], number: int) -> bool:
    group = boxes[number].group
    return bool(group) and (number == 0 or boxes[number - 1].group != group)


def _group_width(boxes: Sequence[Box]) -> float:
    """Of the boxes that are of the first one's group, beside one another."""
    group = list(takewhile(lambda box: box.group == boxes[0].group, boxes))
    return sum(box.width + GAP for box in group) - GAP
