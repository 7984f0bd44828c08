"""Tables in figures: as wide as their words, never over one another."""

from __future__ import annotations

from itertools import pairwise

from attnviz.render.figure.table import table_box
from attnviz.render.figure.text import HEAD, LINE
from attnviz.render.figure.text import MAX_WIDTH as MAX_TEXT_WIDTH
from attnviz.render.figure.text_layout import width_of
from attnviz.views.kinds import Table
from tests.render.figure.drawing import written


def test_a_wide_table_wraps_and_stays_on_the_page():
    text = " ".join(f"word{i}" for i in range(120))
    box = table_box(Table("t", ("name", "value", "of what"), (("a", 0.5, text), ("b", 1.0, "x"))))
    assert box.width <= MAX_TEXT_WIDTH + 0.1
    assert box.height > HEAD + 6 * LINE  # a head, two rows, and lines of the one that wraps


def test_columns_of_words_never_overlap():
    rows = (("W" * 30, 1.5, "a claim " * 20, "yes"), ("i" * 30, -22.25, "measured " * 9, "no"))
    words = written(table_box(Table("t", ("name", "a number", "claim", "holds"), rows)))
    ends: dict[float, list[tuple[float, float]]] = {}
    for x, y, text, style in words[1:]:
        left = x - width_of(text) if style["ha"] == "right" else x
        ends.setdefault(y, []).append((left, left + width_of(text)))
    for line in ends.values():
        assert all(a[1] < b[0] for a, b in pairwise(sorted(line)))


def test_no_column_of_numbers_is_cut_off():
    table = Table("t", tuple(f"column {i}" for i in range(30)), (tuple(range(30)),))
    assert table_box(table).width > 30 * width_of("column 1")
