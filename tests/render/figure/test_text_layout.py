"""Lines of words, and how wide they are drawn."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from attnviz.render.figure.text_layout import lines_of, width_of


@given(st.text(max_size=60), st.floats(0.3, 3))
def test_lines_keep_every_character(text, width):
    kept = "".join(lines_of(text, width))
    assert re.sub("[ \u00a0]", "", kept) == re.sub("[ \u00a0]", "", text)


def test_widths_are_those_that_are_drawn():
    text, font = "Every key, 0.25 of it: (A) wide & narrow", FontProperties(size=8)
    drawn, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    assert width_of(text, 8) == pytest.approx(drawn / 72, rel=0.03)
