"""An image and its maps: the image stays what it is, the maps keep one scale."""

from __future__ import annotations

import csv
import io

import numpy as np

from attnviz.render import render as render_file
from attnviz.render.figure.picture import COLOUR, MOST, _panel
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


def test_a_coloured_image_has_the_brightness_of_rec_601():
    image = np.zeros((2, 2, 3))
    image[0, 0] = (1, 0, 0)
    image[0, 1] = (1, 1, 1)
    view = Picture("t", image, ((np.ones((1, 1)),),), ("",), ("",), Scale(0, 1))
    np.testing.assert_allclose(view.grey(), [[0.299, 1], [0, 0]])


def test_a_value_covers_the_image_by_its_share():
    """Zero covers nothing; so black stays black and white stays white."""
    from matplotlib.figure import Figure

    axes = Figure().add_axes((0, 0, 1, 1))
    _panel(axes, samples.picture(), np.array([[0.0, 0.25], [0.5, 1.0]]))
    over = np.asarray(axes.images[1].get_array())
    np.testing.assert_allclose(over[..., 3], MOST * np.array([[0, 0.25], [0.5, 1]]))
    np.testing.assert_allclose(over[0, 0, :3], COLOUR)


def test_csv_holds_image_and_maps():
    content, _ = render_file([samples.picture()], ".csv")
    found = list(csv.DictReader(io.StringIO(content.decode())))
    assert len(found) == 64 + 2 * 16
    assert [row["value"] for row in found if row["view"] == "L0 H0"][1] == "0.0625"
