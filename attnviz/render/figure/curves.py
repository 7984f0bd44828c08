"""Curves in a figure."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from attnviz.render.figure.boxes import Box, Page
from attnviz.render.figure.colours import category
from attnviz.render.figure.text import MAX_WIDTH, note_words, title_words, words_box
from attnviz.render.figure.text_layout import SMALL, lines_of, width_of
from attnviz.views.kinds import Curves
from attnviz.views.numbers import short

LEGEND = 2.4
CURVES = (5.0, 2.4)
STYLES = ("-", "--", "-.", ":")


def curves_box(curves: Curves) -> Box:
    """Lines, told apart by colour and by style, with their names beside them."""
    names = ["\n".join(lines_of(name, LEGEND, SMALL)) for name, _ in curves.series]
    max_length = max(
        (width_of(part, SMALL) for name in names for part in name.split("\n")), default=0
    )
    title, top = title_words(curves.title)
    width, height = CURVES
    below, end = note_words(curves.notes, top + height, MAX_WIDTH)
    words = words_box([*title, *below], end)

    def draw(page: Page, x: float, y: float) -> None:
        words.draw(page, x, y)
        axes = page.axes(x + 0.55, y + top, width - 0.55, height - 0.4)
        _plot(axes, curves, names)

    return Box(max(words.width, width + 0.5 + max_length), end, draw)


def _plot(axes: Axes, curves: Curves, names: Sequence[str]) -> None:
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
    axes.set_xlabel(curves.x_name, fontsize=8)
    axes.set_ylabel(curves.y_name, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
