"""Curves in a figure."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from attnviz.render.figure.boxes import Box, Page, Room
from attnviz.render.figure.colours import category
from attnviz.render.figure.text import LINE, MAX_WIDTH, note_words, title_words, words_box
from attnviz.render.figure.text_layout import SMALL, TEXT, lines_of, points, width_of
from attnviz.views.kinds import Curves
from attnviz.views.numbers import short

LEGEND = 2.4
CURVES = (5.0, 2.4)
NARROW = 4.5
"""Inches below which the names of the lines stand under them."""
LEFT, BOTTOM, SAMPLE = 0.55, 0.4, 0.5
"""Inches for what stands beside and below the lines, and for the sample of a line in the legend."""
STYLES = ("-", "--", "-.", ":")


def curves_box(curves: Curves, room: Room | None = None) -> Box:
    """Lines, told apart by colour and by style, with their names beside them, or in a narrow
    figure below."""
    names = ["\n".join(lines_of(name, LEGEND, SMALL)) for name, _ in curves.series]
    longest = max((width_of(part, SMALL) for name in names for part in name.split("\n")), default=0)
    title, top = title_words(curves.title)
    n_across = 0
    width, height = CURVES
    if room is not None:
        beside = room.width >= NARROW
        n_across = 0 if beside else max(1, int(room.width / (longest + SAMPLE)))
        width = room.width - (longest + SAMPLE if beside else 0.05)
        below = len(note_words(curves.notes, 0, room.width)[0]) * LINE
        height = width * 0.62 if room.height is None else room.height - top - below
    legend = LINE * -(-len(names) // n_across) + 0.05 if n_across else 0.0
    notes, end = note_words(curves.notes, top + height, MAX_WIDTH if room is None else room.width)
    words = words_box([*title, *notes], end)

    def draw(page: Page, x: float, y: float) -> None:
        words.draw(page, x, y)
        axes = page.axes(x + LEFT, y + top, width - LEFT, height - BOTTOM - legend)
        _plot(axes, curves, names, (n_across, height - BOTTOM - legend))

    natural = max(words.width, width + 0.5 + longest)
    return Box(natural if room is None else room.width, end, draw)


def _plot(axes: Axes, curves: Curves, names: Sequence[str], below: tuple[int, float]) -> None:
    """`below`: how many names stand side by side under lines that are so many inches high; 0 for
    one below the other at the right."""
    n_across, high = below
    for number, (name, (_, values)) in enumerate(zip(names, curves.series, strict=True)):
        axes.plot(
            curves.x,
            values,
            label=name,
            color=category(number),
            linestyle=STYLES[number % len(STYLES)],
            linewidth=1.3,
            marker="." if len(curves.x) <= 40 else None,
        )
    if curves.log_x:
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(curves.x), [short(float(v)) for v in curves.x])
        axes.minorticks_off()
    axes.set_xlabel(curves.x_name, fontsize=points(TEXT))
    axes.set_ylabel(curves.y_name, fontsize=points(TEXT))
    axes.tick_params(labelsize=points(SMALL))
    axes.grid(color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    small = {"fontsize": points(SMALL), "frameon": False}
    if n_across:
        low = -(BOTTOM + 0.02) / high
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, low), ncols=n_across, **small)
    else:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **small)
