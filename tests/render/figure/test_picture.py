"""Pictures in figures: maps cover the image by their values."""

from __future__ import annotations

import numpy as np

from attnviz.render.figure.boxes import MAX_WIDTH
from attnviz.render.figure.picture import (
    BELOW,
    COLOUR,
    MAX_COVER,
    _cover,
    _panel,
    _parts,
    picture_box,
)
from attnviz.views.kinds import Picture, Scale
from tests.render import samples


def test_a_value_covers_the_image_by_its_share():
    """Zero covers nothing; so black stays black and white stays white."""
    from matplotlib.figure import Figure

    axes = Figure().add_axes((0, 0, 1, 1))
    _panel(axes, samples.picture(), np.array([[0.0, 0.25], [0.5, 1.0]]))
    over = np.asarray(axes.images[1].get_array())
    np.testing.assert_allclose(over[..., 3], MAX_COVER * np.array([[0, 0.25], [0.5, 1]]))
    np.testing.assert_allclose(over[0, 0, :3], COLOUR)


def test_what_is_below_zero_has_a_colour_of_its_own():
    over = _cover(np.array([-0.5, 0.25]))
    np.testing.assert_allclose(over[:, :3], [BELOW, COLOUR])
    np.testing.assert_allclose(over[:, 3], [MAX_COVER / 2, MAX_COVER / 4])


def test_maps_over_colours_are_over_their_brightness():
    """Orange over an orange image would be taken for the image, or the image for a map."""
    from matplotlib.figure import Figure

    view = samples.picture()._replace(image=np.random.default_rng(0).random((8, 8, 3)))
    axes = Figure().add_axes((0, 0, 1, 1))
    _panel(axes, view, np.eye(4))
    np.testing.assert_allclose(axes.images[0].get_array(), view.grey())
    alone = Figure().add_axes((0, 0, 1, 1))
    _panel(alone, view, None)
    np.testing.assert_allclose(alone.images[0].get_array(), view.image)


def many(n):
    """A picture with n maps beside one another."""
    names = tuple(f"L{i}" for i in range(n))
    return Picture("t", np.zeros((8, 8)), ((np.eye(4),) * n,), ("",), names, Scale(0, 1))


def test_maps_that_are_too_many_for_a_line_go_below():
    assert picture_box(many(12)).width <= MAX_WIDTH
    assert picture_box(many(12)).height > picture_box(many(6)).height
    assert [len(part) for part in _parts(12, 7)] == [6, 6]
    assert [len(part) for part in _parts(5, 7)] == [5]
    assert [len(part) for part in _parts(3, 0)] == [1, 1, 1]
