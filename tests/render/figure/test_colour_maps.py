"""A reader's colour map: what it can stand for, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.render.figure.colour_maps import kind_of_map, lightness


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("sequential", ("viridis", "magma", "cividis", "Greys", "Blues", "Blues_r")),
        ("diverging", ("RdBu", "RdBu_r", "coolwarm", "PiYG", "berlin", "Spectral")),
        ("uneven", ("jet", "turbo", "rainbow", "nipy_spectral")),
    ],
)
def test_kinds(kind, names):
    assert {name: kind_of_map(name) for name in names} == dict.fromkeys(names, kind)


@pytest.mark.parametrize("name", ["tab10", "Set3", "Paired"])
def test_categories_are_no_scale(name):
    with pytest.raises(AttnvizError, match="for categories"):
        kind_of_map(name)


@pytest.mark.parametrize("name", ["twilight", "hsv"])
def test_ends_that_look_alike(name):
    with pytest.raises(AttnvizError, match="0 and 1 would look alike"):
        kind_of_map(name)


@pytest.mark.parametrize(("name", "guess"), [("Viridis", "viridis"), ("magmaa", "magma")])
def test_slips(name, guess):
    with pytest.raises(AttnvizError, match="unknown colour map") as error:
        kind_of_map(name)
    assert error.value.hint == f"did you mean `{guess}`?"


def test_lightness_is_that_of_cie():
    found = lightness(np.array([[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]]))
    np.testing.assert_allclose(found, [0, 100, 53.39, 53.24], atol=0.01)
