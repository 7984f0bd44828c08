"""Lines between tokens: as thick as their weight, and none that is not there."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Axis, Links, indices
from tests.render import samples

BRAILLE = range(0x2801, 0x2900)


def drawn(view, width=80, depth=0, unicode=True):
    return render([view], Screen(width, depth, unicode)).decode()


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
    canvas = sum(ord(char) in range(0x2800, 0x2900) for char in lines[3])
    assert sum(widths) == thick * 2 * canvas
    assert widths[3] == sum(widths)


def test_a_line_joins_the_two_tokens():
    values = np.zeros((4, 4))
    values[0, 3] = 1
    rows = drawn(Links("t", values, indices("r", 4), indices("l", 4))).splitlines()[2:6]
    canvas = [row[2:26] for row in rows]
    assert n_dot(canvas[3][:3]) > 0
    assert n_dot(canvas[0][-3:]) > 0
    assert n_dot(canvas[0][:3]) == n_dot(canvas[3][-3:]) == 0


def test_small_weights_are_left_out_and_counted():
    text = drawn(samples.links())
    assert "2 weights under 0.1 have no line" in text
    assert "0 Good    0.90" in text
    assert "1 morning 0.50" in text


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
