"""What near zero looks like, sixteen colours, and words cut to cells."""

from __future__ import annotations

import time

import pytest
from rich.cells import cell_len

from attnviz.render.terminal.screen import (
    NOTHING_LEVEL,
    Screen,
    cell_style,
    fit,
    half_cells,
)


@pytest.mark.parametrize("depth", [256, 16777216])
@pytest.mark.parametrize("background", ["dark", "light"])
def test_near_zero_is_the_background_itself(depth, background):
    screen = Screen(80, depth, background=background)
    for level in (0.0, 10.0):
        assert cell_style(level, screen).bgcolor is None
        assert cell_style(level, screen).color is not None
    assert cell_style(0.5, screen).bgcolor is not None


def test_half_cells_leave_the_background_where_a_cell_is_near_zero():
    screen = Screen(80, 256)
    assert half_cells(0.0, 0.0, screen).text == " "
    below, above = half_cells(0.0, 1.0, screen), half_cells(1.0, 0.0, screen)
    assert (below.text, above.text) == ("▄", "▀")
    assert below.style.bgcolor is above.style.bgcolor is None
    assert below.style.color == above.style.color
    both = half_cells(1.0, 0.5, screen)
    assert both.style.color != both.style.bgcolor
    odd = half_cells(1.0, NOTHING_LEVEL, screen)
    assert (odd.text, odd.style.bgcolor) == ("▀", None)


def test_sixteen_colours_grow_stronger_with_the_level():
    """Inverse text, not a background of which nobody knows how light it is."""
    screen = Screen(80, 16)
    styles = [cell_style(level, screen) for level in (0.0, 0.1, 0.4, 0.6, 0.9)]
    assert len(set(map(str, styles))) == 5
    assert all(each is None or each.bgcolor is None for each in styles)
    assert cell_style(1.0, Screen(80, 0)) is None


def test_fit_cuts_and_fills_to_the_cell():
    screen = Screen()
    for text in ("", "a", "地地地", "a" * 50, "a地" * 9, "שלום"):
        for width in range(1, 12):
            assert cell_len(fit(text, width, screen)) == width
            assert cell_len(fit(text, width, screen, right=True)) == width
    assert fit("abcdef", 4, screen) == "abc…"
    assert fit("abcdef", 4, Screen(unicode=False)) == "abc~"


@pytest.mark.parametrize("letter", ["a", "早", "e\u0301\u0302\u0303", "א"])
@pytest.mark.parametrize("width", [0, 1, 2, 7])
def test_only_the_beginning_of_a_long_label_is_looked_at(letter, width):
    screen = Screen(60)
    long = fit(letter * 300_000, width, screen)
    assert long == fit(letter * 30, width, screen)
    start = time.monotonic()
    for _ in range(1000):
        fit(letter * 300_000, width, screen)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("unicode", [True, False])
def test_no_text_moves_the_cursor(unicode):
    codes = (*range(2, 0x20), *range(0x7F, 0xA0))
    shown = Screen(80, unicode=unicode).text("".join(map(chr, codes)))
    assert not any(ord(char) in codes for char in shown)
