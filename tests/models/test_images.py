"""Any image, in the size and the light that a model reads; or one clear error."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from attnviz.errors import AttnvizError
from attnviz.models.images import cut, patch_tokens, read_image

SPEC = {"height": 8, "width": 8, "patch": 2}


@pytest.fixture
def digit():
    """Light on dark, 8 × 8 bytes."""
    values = np.zeros((8, 8), np.uint8)
    values[1:7, 3:5] = 255
    values[2, 2] = 64
    return values


def test_an_image_of_the_right_size_is_taken_as_it_is(digit, tmp_path):
    Image.fromarray(digit).save(tmp_path / "d.png")
    pixels = read_image(tmp_path / "d.png", SPEC)
    np.testing.assert_allclose(pixels.values, digit / 255)
    assert pixels.notes == ()


def test_larger_ones_are_averaged_and_it_is_said(digit, tmp_path):
    Image.fromarray(digit.repeat(5, 0).repeat(5, 1)).save(tmp_path / "d.png")
    pixels = read_image(tmp_path / "d.png", SPEC)
    np.testing.assert_allclose(pixels.values, digit / 255, atol=1 / 255)
    assert "resized from 40 × 40 to 8 × 8" in pixels.notes[0]
    assert "squeezes" not in pixels.notes[0]


def test_dark_on_light_is_turned(digit, tmp_path):
    Image.fromarray(255 - digit).save(tmp_path / "d.png")
    pixels = read_image(tmp_path / "d.png", SPEC)
    np.testing.assert_allclose(pixels.values, digit / 255)
    assert "dark on light" in pixels.notes[0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1", "I;16", "F", "CMYK"])
def test_every_mode(digit, tmp_path, mode):
    if mode == "I;16":
        picture = Image.fromarray(digit.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(digit).convert(mode)
    path = tmp_path / ("d.tiff" if mode in ("F", "I;16", "CMYK") else "d.png")
    picture.save(path)
    values = read_image(path, SPEC).values
    assert values[3, 3] > 0.95
    assert values[0, 0] < 0.05


def test_what_is_transparent_counts_as_paper(tmp_path):
    image = np.zeros((8, 8, 4), np.uint8)
    image[1:7, 3:5, 3] = 255
    Image.fromarray(image).save(tmp_path / "d.png")
    values = read_image(tmp_path / "d.png", SPEC).values
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
        np.testing.assert_allclose(read_image(array, SPEC).values, digit / 255, atol=1 / 255)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 8, 8, 1)), "axes"),
        (np.zeros((8, 8, 5)), "axes"),
        (np.zeros((0, 8)), "empty"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.full((8, 8), 16.0), "from 16 to 16"),
    ],
)
def test_arrays_that_are_no_images(array, message):
    with pytest.raises(AttnvizError, match=message):
        read_image(array, SPEC)


def test_a_photo_is_turned_upright(digit, tmp_path):
    large = Image.fromarray(digit.repeat(8, 0).repeat(8, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    large.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "d.png", exif=exif)
    pixels = read_image(tmp_path / "d.png", SPEC)
    np.testing.assert_allclose(pixels.values, digit / 255, atol=1 / 255)
    assert any("EXIF" in note for note in pixels.notes)


def test_nan_in_a_file(tmp_path):
    Image.fromarray(np.array([[0, np.nan], [1, 0]], np.float32)).save(tmp_path / "d.tiff")
    with pytest.raises(AttnvizError, match="NaN"):
        read_image(tmp_path / "d.tiff", SPEC)


def test_the_first_of_several_pictures(digit, tmp_path):
    first, second = Image.fromarray(digit), Image.fromarray(digit.T.copy())
    first.save(tmp_path / "d.gif", save_all=True, append_images=[second])
    pixels = read_image(tmp_path / "d.gif", SPEC)
    np.testing.assert_allclose(pixels.values, digit / 255, atol=1 / 255)
    assert any("the first of 2 pictures" in note for note in pixels.notes)


def test_one_pixel(tmp_path):
    Image.new("L", (1, 1), 255).save(tmp_path / "d.png")
    notes = read_image(tmp_path / "d.png", SPEC).notes
    assert any("resized from 1 × 1" in note for note in notes)
    assert any("one brightness" in note for note in notes)


def test_twenty_thousand_pixels_wide(tmp_path):
    Image.new("L", (20_000, 4)).save(tmp_path / "wide.png")
    assert "which squeezes it" in read_image(tmp_path / "wide.png", SPEC).notes[0]
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    with pytest.raises(AttnvizError, match="too large"):
        read_image(tmp_path / "bomb.png", SPEC)


def test_what_is_no_image(tmp_path, digit):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(AttnvizError, match="is no image"):
        read_image(tmp_path / "text.png", SPEC)
    with pytest.raises(AttnvizError, match="does not exist"):
        read_image(tmp_path / "nothing.png", SPEC)
    with pytest.raises(AttnvizError, match="is a folder"):
        read_image(tmp_path, SPEC)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8)).save(
        tmp_path / "half.png"
    )
    whole = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AttnvizError, match="cannot be read"):
        read_image(tmp_path / "half.png", SPEC)


def test_patches_are_row_by_row():
    values = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(cut(values, 2)[:2], [[0, 1, 6, 7], [2, 3, 8, 9]])
    assert cut(values, 2).shape == (6, 4)
    tokens = patch_tokens({"height": 4, "width": 6, "patch": 2})
    assert tokens.labels == ("[CLS]", "0,0", "0,1", "0,2", "1,0", "1,1", "1,2")
    assert tokens.special == (0,)
