"""Links between two columns of tokens: ribbons in Braille dots, one colour for each token on the
left; a list where there are no such dots, or too many tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.render.palette import COLOURS
from attnviz.render.terminal.heatmap import label_style
from attnviz.render.terminal.screen import Block, Row, Screen, category_style, fit, segment, style
from attnviz.render.terminal.text import heading, notes, row_width
from attnviz.views.kinds import Axis, Links

BRAILLE = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot of a Braille character, 4 rows × 2 columns."""

CANVAS = 32
MIN_CANVAS = 8
MAX_LABEL = 16
MAX_DRAWN = 40
"""Tokens on a side; the ribbons of more cross too often to be followed."""
MAX_LISTED = 60
SPACIOUS = 8
"""So few tokens have a line of the screen between them, so that ribbons cross less steeply."""


NOTHING = -1
GAP = 3
"""Dots above and below a ribbon, in those that it crosses."""


class Names(NamedTuple):
    """What is written for the tokens of one side, all in one width."""

    texts: list[str]
    width: int


def draw_links(links: Links, screen: Screen) -> Block:
    """Left tokens, ribbons, right tokens with the token that each is joined to most."""
    left, right = _names(links.left, screen), _names(links.right, screen)
    colours = _colours(links, screen)
    rows = heading(links.title, screen)
    sides = say("left: {left}, right: {right}", left=links.left.name, right=links.right.name)
    rows.append([segment(sides, style(dim=True))])
    joined = [_strongest(links, i, left, colours, screen) for i in range(len(links.right))]
    beside = max(map(row_width, joined), default=0)
    available = screen.width - left.width - right.width - beside - 3
    few = max(len(links.left), len(links.right)) <= MAX_DRAWN
    about: tuple[str, ...]
    if few and screen.unicode and available >= MIN_CANVAS:
        rows += _ribbons(links, left, right, joined, colours, min(CANVAS, available), screen)
        about = _about_ribbons(screen)
    else:
        rows += _list(links, left, right, colours, screen)
        about = _about_list(links)
    n_colour = len(COLOURS[screen.background].categories)
    if screen.depth and len(colours) > n_colour:
        about += (say("the colours repeat after {n} tokens", n=n_colour),)
    rows += notes((*about, *links.all_notes()), screen.width, screen)
    return Block(rows, max(row_width(row) for row in rows))


def _names(axis: Axis, screen: Screen) -> Names:
    most = min(MAX_LABEL, screen.width // 3)
    named = [screen.text(f"{axis.index(i)} {label}".strip()) for i, label in enumerate(axis.labels)]
    texts = [fit(name, min(cell_len(name), most), screen) for name in named]
    return Names(texts, max(map(cell_len, texts), default=0))


def _colours(links: Links, screen: Screen) -> dict[int, Style | None]:
    """The colour of each token on the left that has a ribbon; special tokens are dimmed."""
    used = sorted({j for _, j, _ in links.lines()})
    return {
        j: category_style(number, screen, dim=links.left.is_special(j))
        for number, j in enumerate(used)
    }


def _strongest(
    links: Links, right: int, left: Names, colours: dict[int, Style | None], screen: Screen
) -> Row:
    """`← 2 好 1.00`; nothing for a token that is joined to none."""
    strongest = links.strongest(right)
    if strongest is None or strongest[0] not in colours:
        return []
    position, weight = strongest
    name = fit(left.texts[position], left.width, screen)
    arrow = segment(" ← ", style(dim=True))
    return [arrow, segment(name, colours[position]), segment(f" {weight:.2f}")]


def _ribbons(
    links: Links,
    left: Names,
    right: Names,
    joined: list[Row],
    colours: dict[int, Style | None],
    width: int,
    screen: Screen,
) -> list[Row]:
    n_token = max(len(links.left), len(links.right))
    height = 2 * n_token - 1 if n_token <= SPACIOUS else n_token
    canvas = _canvas(links, height, width, colours)
    at_left, at_right = (_spread(len(axis), height) for axis in (links.left, links.right))
    rows: list[Row] = []
    for y in range(height):
        i, j = at_right.get(y), at_left.get(y)
        colour = None if j is None else colours.get(j, label_style(links.left, j))
        row = [
            segment("" if j is None else fit(left.texts[j], left.width, screen, True), colour),
            segment(" "),
            *canvas[y],
            segment(" "),
        ]
        if j is None:
            row[0] = segment(" " * left.width)
        if i is not None:
            name = fit(right.texts[i], right.width, screen)
            row += [segment(name, label_style(links.right, i)), *joined[i]]
        rows.append(row)
    return rows


def _spread(count: int, height: int) -> dict[int, int]:
    """The line of the screen of each token, evenly spread: line -> token."""
    if count == 1:
        return {(height - 1) // 2: 0}
    return {round(i * (height - 1) / (count - 1)): i for i in range(count)}


def _canvas(links: Links, height: int, width: int, colours: dict[int, Style | None]) -> list[Row]:
    """Ribbons from left to right, up to three dots thick; heavier ones pass above."""
    owners = np.full((height * 4, width * 2), NOTHING)
    rows = [
        {token: line for line, token in _spread(len(axis), height).items()}
        for axis in (links.left, links.right)
    ]
    lines = links.lines()
    for number, (i, j, weight) in enumerate(lines):
        share = min(1.0, max(0.0, weight / (links.scale.high or 1)))
        crossed = [
            n for n, (right, left, _) in enumerate(lines[:number]) if (i - right) * (j - left) < 0
        ]
        _ribbon(owners, number, rows[0][j], rows[1][i], share, crossed)
    of_line = [colours[j] for _, j, _ in lines]
    return [[_cell(owners, y, x, of_line) for x in range(width)] for y in range(height)]


def _ribbon(
    owners: Array, number: int, start: int, stop: int, share: float, crossed: list[int]
) -> None:
    """Level at both ends, so that it is clear which tokens they belong to; where it crosses
    others there is a gap in them."""
    n_x = owners.shape[1]
    thick = 1 + (share > 1 / 3) + (share > 2 / 3)
    at = np.arange(n_x) / (n_x - 1)
    middle = 4 * (start + (stop - start) * at**2 * (3 - 2 * at)) + 1.5
    first = (middle - thick / 2 + 1).astype(int)
    last = first + thick
    # where it is steep, each column reaches down or up to the next
    low = np.minimum(first, np.append(last[1:] - thick, first[-1]))
    high = np.maximum(last, np.append(last[1:] - 1, last[-1]))
    for x in range(n_x):
        around = owners[max(0, low[x] - GAP) : high[x] + GAP, x]
        around[np.isin(around, crossed)] = NOTHING
        owners[max(0, low[x]) : high[x], x] = number


def _cell(owners: Array, y: int, x: int, styles: list[Style | None]) -> Segment:
    """The dots of the ribbon above only: one character has one colour, and what passes below is
    interrupted as it would be on paper."""
    part = owners[4 * y : 4 * y + 4, 2 * x : 2 * x + 2]
    top = int(part.max())
    if top == NOTHING:
        return segment(" ")
    return segment(chr(BRAILLE + int(DOTS[part == top].sum())), styles[top])


def _list(
    links: Links,
    left: Names,
    right: Names,
    colours: dict[int, Style | None],
    screen: Screen,
) -> list[Row]:
    """`2 morning ← 1 上 0.92, 0 早 0.08`."""
    arrow = "←" if screen.unicode else "<-"
    indent = right.width + cell_len(arrow) + 2
    joined: dict[int, list[Row]] = {}
    for i, j, weight in reversed(links.lines()):
        part = [segment(left.texts[j], colours[j]), segment(f" {weight:.2f}")]
        joined.setdefault(i, []).append(part)
    rows: list[Row] = []
    for i, text in enumerate(right.texts[:MAX_LISTED]):
        head = segment(fit(text, right.width, screen), label_style(links.right, i))
        row = [head, segment(f" {arrow} ", style(dim=True))]
        parts = joined.get(i, [[segment("-", style(dim=True))]])
        for number, part in enumerate(parts):
            comma = 1 if number < len(parts) - 1 else 0
            if number and row_width(row) + 1 + row_width(part) + comma > screen.width:
                rows.append(row)
                row = [segment(" " * indent)]
            elif number:
                row.append(segment(" "))
            row += [*part, segment("," * comma)]
        rows.append(row)
    return rows


def _about_ribbons(screen: Screen) -> tuple[str, ...]:
    thick = say("the thicker a ribbon, the larger the weight; behind the arrow: the largest")
    if not screen.depth:
        return (thick,)
    return (say("a ribbon has the colour of its token on the left"), thick)


def _about_list(links: Links) -> tuple[str, ...]:
    about: tuple[str, ...] = (
        say("behind each token: those it is joined to, the largest weight first"),
    )
    if len(links.right) > MAX_LISTED:
        about += (say("{shown} of {all} tokens shown", shown=MAX_LISTED, all=len(links.right)),)
    return about
