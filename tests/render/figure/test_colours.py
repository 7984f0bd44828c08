"""Colours of cells: one for a value, others for what has none."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.render.figure.colours import BROKEN, MASKED, colour_map, ink, pixels
from tests.render.figure.drawing import square


def test_the_same_value_has_the_same_colour_in_every_panel_and_figure():
    small, large = square(np.array([[0.1, 0.2]])), square(np.array([[0.1, 0.9]]))
    np.testing.assert_array_equal(pixels(small)[0, 0], pixels(large)[0, 0])


def test_masked_and_broken_cells_have_colours_of_their_own():
    values = np.array([[0.0, np.nan], [0.5, 1.0]])
    drawn = pixels(square(values, masked=np.array([[1, 0], [0, 0]])))
    np.testing.assert_array_equal(drawn[0, 0], np.round(np.array(MASKED) * 255))
    np.testing.assert_array_equal(drawn[0, 1], np.round(np.array(BROKEN) * 255))
    for kind in ("sequential", "diverging"):
        ramp = colour_map(kind)(np.linspace(0, 1, 256))[:, :3]
        for own in (MASKED, BROKEN):
            assert np.abs(ramp - np.array(own[:3])).max(-1).min() > 0.02


@pytest.mark.parametrize("kind", ["sequential", "diverging"])
def test_numbers_can_be_read_on_every_colour(kind):
    for colour in colour_map(kind)(np.linspace(0, 1, 64)):
        c = np.round(colour[:3] * 255) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        light = float(linear @ [0.2126, 0.7152, 0.0722])
        text = 0.0 if ink(np.round(np.append(c, 1) * 255)) == "black" else 1.0
        assert (max(light, text) + 0.05) / (min(light, text) + 0.05) >= 4.5
