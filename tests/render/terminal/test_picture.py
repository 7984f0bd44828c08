"""An image and its maps: the image stays what it is, the maps keep one scale."""

from __future__ import annotations

import numpy as np

from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Picture, Scale
from tests.render import samples


def drawn(view, width=80, depth=0, unicode=True):
    return render([view], Screen(width, depth, unicode)).decode()


def test_the_image_in_shades():
    lines = drawn(samples.picture()).splitlines()
    assert lines[1] == "·" * 16
    assert lines[2] == "·" * 6 + "█" * 4 + "·" * 6
    assert "the image, from black to white" in lines
    assert "a note" in lines


def test_the_maps_are_beside_one_another_with_their_scale():
    text = drawn(samples.picture())
    assert "H0       H1" in text
    assert "scale: 0 to 1" in text


def test_greys():
    text = drawn(samples.picture(), depth=256)
    assert "\x1b[48;5;232m" in text
    assert "\x1b[48;5;255m" in text


def test_a_large_image_is_pooled_and_it_is_said():
    image = np.random.default_rng(0).random((300, 200))
    view = Picture("t", image, ((np.ones((3, 2)),),), ("L0",), ("H0",), Scale(0, 1))
    for width in (40, 80, 120):
        lines = drawn(view, width).splitlines()
        assert max(map(len, lines)) <= width
        assert "of 300 × 200, averaged" in " ".join(lines)


def many(n):
    """A picture with n maps beside one another."""
    names = tuple(f"L{i}" for i in range(n))
    return Picture("t", np.zeros((8, 8)), ((np.eye(4),) * n,), ("",), names, Scale(0, 1))


def test_colours_are_those_of_the_image():
    """Two pixels in each place, an upper and a lower one; the last row has nothing below it."""
    image = np.zeros((41, 41, 3))
    image[0], image[1] = (1, 0, 0), (0, 0, 1)
    view = Picture("t", image, ((np.eye(4),),), ("",), ("H0",), Scale(0, 1))
    lines = drawn(view, depth=16777216).splitlines()
    assert lines[1].startswith("\x1b[38;2;255;0;0;48;2;0;0;255m▀")
    assert len([line for line in lines if "▀" * 41 in line]) == 21
    assert "the image" in lines[22]
    small = view._replace(image=image[:3, :3])
    assert "\x1b[48;2;255;0;0m" in drawn(small, depth=16777216).splitlines()[1]
    assert "from black to white" in drawn(view)


def test_an_image_stands_there_once():
    view = samples.picture()
    text = render([view, view._replace(title="again")], Screen(80, 0, True)).decode()
    assert text.count("from black to white") == 1
    assert "over the same image" in text
    other = view._replace(image=view.image.copy())
    assert render([view, other], Screen(80, 0, True)).decode().count("to white") == 2


def test_maps_go_below_before_they_are_pooled():
    view = many(9)._replace(overlays=((np.eye(14),) * 9,))
    for width in (40, 80, 120):
        text = drawn(view, width)
        assert max(map(len, text.splitlines())) <= width
        assert "averaged" not in text
