"""Colours that rise in lightness, text that can be read on them, and words cut to cells."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from rich.cells import cell_len
from rich.color import Color

from attnviz.render.terminal.screen import ABOVE, BELOW, SEQUENTIAL, Screen, fit, luminance


def lightness(number):
    return luminance(Color.from_ansi(number))


@pytest.mark.parametrize("ramp", [SEQUENTIAL, BELOW, ABOVE])
def test_ramps_rise_in_lightness_among_256_colours(ramp):
    """The nearest of 256 colours to viridis and its like do not."""
    steps = [lightness(number) for number in ramp]
    assert all(a < b for a, b in pairwise(steps))


@pytest.mark.parametrize("number", sorted({*SEQUENTIAL, *BELOW, *ABOVE}))
def test_text_on_every_colour_can_be_read(number):
    background = lightness(number)
    text = 0.0 if background > 0.179 else 1.0
    contrast = (max(text, background) + 0.05) / (min(text, background) + 0.05)
    assert contrast >= 4.5


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
