"""Curves on a screen: where their dots stand, what the axes say, and which curve is which."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnviz.render.palette import COLOURS
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Curves
from tests.render.terminal.drawing import drawn

INK = re.compile("[a-zA-Z\u2801-\u28ff]")


def plane(text):
    """The lines of the plane, without the values at their left."""
    lines = text.splitlines()
    floor = next(i for i, line in enumerate(lines) if re.match(r" *(└|\+[+-])", line))
    wall = len(lines[floor]) - len(lines[floor].lstrip())
    return [line[wall + 1 :] for line in lines[:floor] if line[wall : wall + 1] in set("┤│+|")]


def columns(lines):
    """Of each column with ink, its lines from the top."""
    found = {}
    for number, line in enumerate(lines):
        for match in INK.finditer(line):
            found.setdefault(match.start(), []).append(number)
    return found


def curve(y, x=None, **given):
    x = np.arange(len(y)) if x is None else x
    return Curves("c", x, "x", (("up", np.asarray(y, float)),), "y", **given)


@pytest.mark.parametrize("unicode", [True, False])
def test_a_line_goes_from_corner_to_corner(unicode):
    lines = plane(drawn([curve(np.arange(16))], 60, unicode=unicode))
    found = columns(lines)
    assert sorted(found) == list(range(max(map(len, lines))))
    heights = [min(found[column]) for column in sorted(found)]
    assert heights == sorted(heights, reverse=True)
    assert (max(found[0]), heights[-1]) == (len(lines) - 1, 0)


def test_values_stand_where_the_axis_says():
    """0 at the line of 0, and 1 at that of 1."""
    text = drawn([curve([0, 0, 1, 1])], 60, unicode=True)
    rows = {line.split("┤")[0].strip(): INK.search(line.split("┤")[1]) is not None
            for line in text.splitlines() if "┤" in line}  # fmt: skip
    assert rows["0"]
    assert rows["1"]


def test_a_logarithmic_axis_has_doublings_at_equal_distances():
    x = 2.0 ** np.arange(1, 7)
    text = drawn([curve(np.arange(6), x, log_x=True)], 60)
    ticks = next(line for line in text.splitlines() if "└" in line)
    at = [i for i, char in enumerate(ticks) if char == "┬"]
    assert len(at) == 6
    assert np.ptp(np.diff(at)) <= 1
    assert re.search(r"2 +4 +8 +16 +32 +64", text)
    assert "x, logarithmic" in text


def test_every_point_is_drawn_however_many_there_are():
    """A single spike among thousands is not lost."""
    y = np.zeros(5000)
    y[3333] = 1
    found = columns(plane(drawn([curve(y)], 60)))
    assert [column for column, lines in found.items() if 0 in lines]


def test_flat_and_missing_values():
    curves = Curves(
        "c", np.arange(3), "x", (("flat", np.ones(3)), ("nan", np.full(3, np.nan))), "y"
    )
    text = drawn([curves])
    assert "a flat" in text
    assert "b nan" in text
    assert "3 values are not numbers and not drawn" in text
    lines = columns(plane(text)).values()
    assert len({tuple(each) for each in lines}) == 1
    assert columns(plane(drawn([curve([np.nan, np.inf])]))) == {}


def test_nothing_is_drawn_across_a_gap():
    found = columns(plane(drawn([curve([0, 0, 0, np.nan, 0, 0, 0])], 60)))
    middle = sorted(found)[len(found) // 2]
    assert any(b - a > 5 for a, b in zip(sorted(found), sorted(found)[1:], strict=False)), middle


@pytest.mark.parametrize("background", ["dark", "light"])
def test_each_curve_has_its_colour_and_its_letter(background):
    y = (("one", np.arange(9)), ("two", 8 - np.arange(9)))
    view = Curves("c", np.arange(9), "x", y, "y")
    text = render([view], Screen(70, 256, background=background)).decode()
    for number, (letter, name) in enumerate((("a", "one"), ("b", "two"))):
        colour = COLOURS[background].categories[number]
        assert f"\x1b[38;5;{colour}m{letter} {name}" in text
        assert len(re.findall(rf"38;5;{colour}m[\u2801-\u28ff]*{letter}", text)) > 2
    plain = drawn([view], 70)
    assert all(letter in "".join(plane(plain)) for letter in "ab")


def test_curves_that_coincide_are_both_seen():
    y = np.arange(20.0)
    view = Curves("c", np.arange(20), "x", (("one", y), ("two", y)), "y")
    ink = "".join(plane(drawn([view], 80)))
    assert "a" in ink
    assert "b" in ink


def test_more_curves_than_colours():
    series = tuple((f"s{i}", np.arange(4.0) * i) for i in range(9))
    text = render([Curves("c", np.arange(4), "x", series, "y")], Screen(80, 256)).decode()
    assert "the colours repeat after 6 curves" in text
    assert all(f"{letter} s{i}" in text for i, letter in enumerate("abcdefghi"))


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("y", [[1e-300, 2e300], [-1e308, 1e308], [5, 5], [0, 1e-12], [1e6, 1e6 + 1]],
                         ids=str)  # fmt: skip
def test_any_values_fit_the_screen(width, y):
    view = Curves("a title", np.arange(2), "早" * 90, (("早" * 90, np.array(y)),), "早" * 90)
    text = drawn([view], width)
    assert columns(plane(text))
    from rich.cells import cell_len

    assert max(map(cell_len, text.splitlines())) <= width
