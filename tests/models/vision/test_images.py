"""Any image that there is, upright; or one clear error."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from attnviz.errors import AttnvizError
from attnviz.models.vision.grey import GreyReader

read = GreyReader(8, 8, 2).read


@pytest.fixture
def digit():
    """Light on dark, 8 × 8 bytes."""
    values = np.zeros((8, 8), np.uint8)
    values[1:7, 3:5] = 255
    values[2, 2] = 64
    return values


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
        read(array)


def test_a_photo_is_turned_upright(digit, tmp_path):
    large = Image.fromarray(digit.repeat(8, 0).repeat(8, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    large.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "d.png", exif=exif)
    pixels = read(tmp_path / "d.png")
    np.testing.assert_allclose(pixels.shown, digit / 255, atol=1 / 255)
    assert any("EXIF" in note for note in pixels.notes)


def test_nan_in_a_file(tmp_path):
    Image.fromarray(np.array([[0, np.nan], [1, 0]], np.float32)).save(tmp_path / "d.tiff")
    with pytest.raises(AttnvizError, match="NaN"):
        read(tmp_path / "d.tiff")


def test_the_first_of_several_pictures(digit, tmp_path):
    first, second = Image.fromarray(digit), Image.fromarray(digit.T.copy())
    first.save(tmp_path / "d.gif", save_all=True, append_images=[second])
    pixels = read(tmp_path / "d.gif")
    np.testing.assert_allclose(pixels.shown, digit / 255, atol=1 / 255)
    assert any("the first of 2 pictures" in note for note in pixels.notes)


def test_twenty_thousand_pixels_wide(tmp_path):
    Image.new("L", (20_000, 4)).save(tmp_path / "wide.png")
    assert "which squeezes it" in read(tmp_path / "wide.png").notes[0]
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    with pytest.raises(AttnvizError, match="too large"):
        read(tmp_path / "bomb.png")


def test_what_is_no_image(tmp_path, digit):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(AttnvizError, match="is not an image"):
        read(tmp_path / "text.png")
    with pytest.raises(AttnvizError, match="does not exist"):
        read(tmp_path / "nothing.png")
    with pytest.raises(AttnvizError, match="is a folder"):
        read(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8)).save(
        tmp_path / "half.png"
    )
    whole = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AttnvizError, match="cannot be read"):
        read(tmp_path / "half.png")
