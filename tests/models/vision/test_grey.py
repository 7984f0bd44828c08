"""Any image, in the size and the light that the packaged model reads."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from attnviz.models.vision.grey import GreyReader

read = GreyReader(8, 8, 2).read


@pytest.fixture
def digit():
    """Light on dark, 8 × 8 bytes."""
    values = np.zeros((8, 8), np.uint8)
    values[1:7, 3:5] = 255
    values[2, 2] = 64
    return values


def test_an_image_of_the_right_size_is_taken_as_it_is(digit, tmp_path):
    Image.fromarray(digit).save(tmp_path / "d.png")
    pixels = read(tmp_path / "d.png")
    np.testing.assert_allclose(pixels.shown, digit / 255)
    assert pixels.notes == ()


def test_larger_ones_are_averaged_and_it_is_said(digit, tmp_path):
    Image.fromarray(digit.repeat(5, 0).repeat(5, 1)).save(tmp_path / "d.png")
    pixels = read(tmp_path / "d.png")
    np.testing.assert_allclose(pixels.shown, digit / 255, atol=1 / 255)
    assert "resized from 40 × 40 to 8 × 8" in pixels.notes[0]
    assert "distorts" not in pixels.notes[0]


def test_dark_on_light_is_turned(digit, tmp_path):
    Image.fromarray(255 - digit).save(tmp_path / "d.png")
    pixels = read(tmp_path / "d.png")
    np.testing.assert_allclose(pixels.shown, digit / 255)
    assert "dark on light" in pixels.notes[0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1", "I;16", "F", "CMYK"])
def test_every_mode(digit, tmp_path, mode):
    if mode == "I;16":
        picture = Image.fromarray(digit.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(digit).convert(mode)
    path = tmp_path / ("d.tiff" if mode in ("F", "I;16", "CMYK") else "d.png")
    picture.save(path)
    values = read(path).shown
    assert values[3, 3] > 0.95
    assert values[0, 0] < 0.05


def test_what_is_transparent_counts_as_paper(tmp_path):
    image = np.zeros((8, 8, 4), np.uint8)
    image[1:7, 3:5, 3] = 255
    Image.fromarray(image).save(tmp_path / "d.png")
    values = read(tmp_path / "d.png").shown
    assert (values[3, 3], values[0, 0]) == (1, 0)


def test_arrays(digit):
    for array in (
        digit,
        digit[..., None],
        digit[None],
        digit / 255,
        np.stack([digit] * 3, -1),
        np.stack([digit] * 3),
    ):
        np.testing.assert_allclose(read(array).shown, digit / 255, atol=1 / 255)


def test_one_pixel(tmp_path):
    Image.new("L", (1, 1), 255).save(tmp_path / "d.png")
    notes = read(tmp_path / "d.png").notes
    assert any("resized from 1 × 1" in note for note in notes)
    assert any("the same brightness" in note for note in notes)
