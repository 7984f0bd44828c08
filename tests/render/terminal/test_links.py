"""Lines between tokens: as thick as their weight, and none that is not there."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnviz.render.palette import COLOURS
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Axis, Links, indices
from tests.render import samples

BRAILLE = range(0x2801, 0x2900)


def drawn(view, width=80, depth=256, unicode=True):
    """Without its colours."""
    text = render([view], Screen(width, depth, unicode)).decode()
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def colours(view, part, background="dark"):
    """The colours in which a text stands, by line."""
    text = render([view], Screen(80, 256, background=background)).decode()
    each = r"\x1b\[38;5;(\d+)m([^\x1b]*)\x1b\[0m"
    return [
        c for line in text.splitlines() for c, inside in re.findall(each, line) if part in inside
    ]


def crossing():
    """The first on the left goes to the second on the right, and the other way round."""
    return Links("x", np.eye(2)[::-1], Axis("r", ("Good", "day")), Axis("l", ("早", "好")))


def n_dot(text):
    return sum((ord(char) - 0x2800).bit_count() for char in text if ord(char) in BRAILLE)


def one_line(weight):
    values = np.zeros((3, 3))
    values[1, 1] = weight
    return Links("one", values, indices("right", 3), indices("left", 3))


@pytest.mark.parametrize(("weight", "thick"), [(0.09, 0), (0.2, 1), (0.5, 2), (0.9, 3)])
def test_a_heavier_weight_is_a_thicker_line(weight, thick):
    lines = drawn(one_line(weight), 60).splitlines()
    widths = [n_dot(line) for line in lines]
    canvas = sum(ord(char) in range(0x2800, 0x2900) for char in lines[4])
    assert sum(widths) == thick * 2 * canvas
    assert widths[4] == sum(widths)


def test_a_line_joins_the_two_tokens():
    values = np.zeros((4, 4))
    values[0, 3] = 1
    rows = drawn(Links("t", values, indices("r", 4), indices("l", 4))).splitlines()[2:9]
    canvas = [row[2:34] for row in rows]
    assert n_dot(canvas[6][:3]) > 0
    assert n_dot(canvas[0][-3:]) > 0
    assert n_dot(canvas[0][:3]) == n_dot(canvas[6][-3:]) == 0


@pytest.mark.parametrize("background", ["dark", "light"])
def test_a_ribbon_its_token_and_its_end_have_one_colour(background):
    first, second = COLOURS[background].categories[:2]
    assert set(colours(crossing(), "早", background)) == {str(first)}
    assert set(colours(crossing(), "好", background)) == {str(second)}
    text = render([crossing()], Screen(80, 256, background=background)).decode().splitlines()
    for line, start, end in ((2, first, second), (4, second, first)):
        shades = re.findall(r"38;5;(\d+)m[\u2801-\u28ff]", text[line])
        assert (shades[0], shades[-1]) == (str(start), str(end))
    assert "Good ← 1 好 1.00" in drawn(crossing())


def test_ribbons_that_cross_stay_apart():
    """Each goes on behind the crossing; one of them is whole, and no character mixes two."""
    view = crossing()
    whole = [sum(map(n_dot, row)) for row in (drawn(one_sided(view, i)) for i in (0, 1))]
    seen = [0, 0]
    text = render([view], Screen(80, 256)).decode()
    for colour, dots in re.findall(r"38;5;(\d+)m([\u2801-\u28ff]+)", text):
        seen[COLOURS["dark"].categories.index(int(colour))] += n_dot(dots)
    assert max(seen) in whole
    assert 0.3 * min(whole) < min(seen) < min(whole)


def one_sided(view, row):
    return view._replace(values=view.values * (np.arange(2) == row)[:, None])


def test_without_colours_it_can_still_be_read():
    """There is a gap where one passes below, and the words say it too."""
    lines = drawn(crossing(), depth=0).splitlines()
    assert lines[2].endswith("0 Good ← 1 好 1.00")
    assert lines[4].endswith("1 day  ← 0 早 1.00")
    assert any(re.search("[\u2801-\u28ff] +[\u2801-\u28ff]", line) for line in lines)
    plain = drawn(crossing(), depth=0, unicode=False)
    assert "0 Good <- 1 \\u597d 1.00" in plain


def test_many_tokens_are_a_list_and_what_is_left_out_is_said():
    n = 90
    view = Links("many", np.eye(n), indices("r", n), indices("l", n))
    text = drawn(view)
    assert n_dot(text) == 0
    assert " 59 ← 59 1.00" in text.replace("\n", " ")
    assert "60 ← 60" not in text
    assert "60 of 90 tokens shown" in text
    assert "the colours repeat after 6 tokens" in text


def test_small_weights_are_left_out_and_counted():
    text = drawn(samples.links())
    assert "2 weights under 0.1 have no line" in text
    assert "0 Good    ← 0 早 0.90" in text
    assert "1 morning ← 2 好 0.50" in text


def test_a_list_where_there_are_no_dots():
    text = drawn(samples.links(), unicode=False)
    assert text.isascii()
    assert "0.90" in text
    assert "0 Good    <- 0 \\u65e9 0.90" in text


def test_nothing_to_join():
    text = drawn(Links("none", np.zeros((2, 2)), indices("r", 2), indices("l", 2)))
    assert n_dot(text) == 0


def test_one_token_on_a_side():
    for shape in ((1, 3), (3, 1), (1, 1)):
        view = Links("t", np.ones(shape) / shape[1], indices("r", shape[0]), indices("l", shape[1]))
        assert n_dot(drawn(view)) > 0


def test_long_labels_are_cut():
    view = Links("t", np.eye(2), Axis("r", ("x" * 90, "y")), Axis("l", ("z" * 90, "w")))
    for width in (40, 80):
        assert all(len(line) <= width for line in drawn(view, width).splitlines())
