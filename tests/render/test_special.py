"""Special tokens weigh less, by colour alone: the text is the same without."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.style import Style
from rich.text import Text as RichText

from attnviz.render.figure.boxes import Page
from attnviz.render.figure.heatmap import heatmap_box
from attnviz.render.figure.links import links_box
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Axis, Heatmap, Line, Links, Text

LABELS = ("[CLS]", "saw", "a", "[SEP]")
AXIS = Axis("key", LABELS, special=frozenset({0, 3}))
EYE = np.eye(4)
HEATMAP = Heatmap("heads", EYE, AXIS, AXIS)
LINKS = Links("links", EYE, AXIS, AXIS)
LINE = Text(
    (Line("0\u00a0[CLS]  1\u00a0saw  2\u00a0a  3\u00a0[SEP]", "tokens", faint=frozenset({0, 6})),)
)
VIEWS = {"heatmap": HEATMAP, "links": LINKS, "line": LINE}
WIDTHS = (40, 80)


def dimmed(view, width):
    """Which words of the labels are dim wherever they stand, and which are never."""
    text = RichText.from_ansi(render([view], Screen(width, 256)).decode())
    found = {label: set() for label in LABELS if label != "a"}
    for label, dim in found.items():
        at = text.plain.find(label)
        while at >= 0:
            styles = [span.style for span in text.spans if span.start <= at < span.end]
            dim.add(any(isinstance(style, Style) and style.dim for style in styles))
            at = text.plain.find(label, at + 1)
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_on_a_terminal(name, width):
    assert dimmed(VIEWS[name], width) == {"[CLS]": {True}, "saw": {False}, "[SEP]": {True}}


@pytest.mark.parametrize("width", WIDTHS)
def test_without_colour_nothing_is_lost(width):
    plain = LINE.lines[0]._replace(faint=frozenset())
    for depth in (0, 256):
        screen = Screen(width, depth)
        with_faint, without = (
            RichText.from_ansi(render([view], screen).decode()).plain
            for view in (LINE, Text((plain,)))
        )
        assert with_faint == without


def test_a_long_line_wraps_with_its_faint_words():
    words = [f"{i}\u00a0{'[SEP]' if i % 5 == 0 else 'saw'}" for i in range(40)]
    faint = frozenset(2 * i for i in range(0, 40, 5))
    view = Text((Line("  ".join(words), "tokens", faint=faint),))
    text = RichText.from_ansi(render([view], Screen(40, 256)).decode())
    assert max(map(len, text.plain.splitlines())) <= 40
    assert dimmed(view, 40)["[SEP]"] == {True}
    assert dimmed(view, 40)["saw"] == {False}


def colours_of(box):
    """Label -> its colours, in a figure."""
    figure = Figure()
    box.draw(Page(figure, 8, 8), 0, 0)
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [*axes.get_xticklabels(), *axes.get_yticklabels()]
    found = {}
    for text in texts:
        for label in LABELS:
            if text.get_text().split()[-1:] == [label]:
                found.setdefault(label, []).append(text.get_color())
    return found


def test_in_a_figure():
    """The tokens on the left of links have the colours of their lines."""
    found = colours_of(heatmap_box(HEATMAP))
    assert found["saw"] == found["a"] == ["black", "black"]
    assert found["[CLS]"] == found["[SEP]"] == ["0.55", "0.55"]
    found = colours_of(links_box(LINKS))
    assert found["[CLS]"] == found["[SEP]"] == ["0.55", "0.55"]
    assert [found["saw"][1], found["a"][1]] == ["black", "black"]
    assert len({found["saw"][0], found["a"][0], "black"}) == 3


def test_after_pooling_a_label_stands_for_several():
    pooled = Axis("key", ("[CLS]", "a"), step=2, special=frozenset({0}))
    assert not pooled.is_special(0)
    assert AXIS.is_special(0)
