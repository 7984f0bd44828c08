"""Any image that there is, upright; or one clear error."""

from __future__ import annotations

import io
import random
import stat
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from attnviz.errors import AttnvizError
from attnviz.models.vision import images as module
from attnviz.models.vision.grey import GreyReader
from tests.fuzz.files import mutate_bytes

read = GreyReader(8, 8, 2).read


@pytest.fixture
def digit():
    """Light on dark, 8 × 8 bytes."""
    values = np.zeros((8, 8), np.uint8)
    values[1:7, 3:5] = 255
    values[2, 2] = 64
    return values


def png_header(width, height):
    """A PNG that states its size and holds nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + chunk + data


def saved(picture, format, **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


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
    assert "which distorts it" in read(tmp_path / "wide.png").notes[0]
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 20_000))
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


@pytest.mark.parametrize("format", module.FORMATS)
def test_the_formats_that_are_read(digit, tmp_path, format):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow has no {format}")
    path = tmp_path / "d"
    path.write_bytes(saved(Image.fromarray(digit.repeat(8, 0).repeat(8, 1)), format))
    np.testing.assert_allclose(read(path).shown, digit / 255, atol=0.1)


@pytest.mark.parametrize("format", ["EPS", "DDS", "ICO", "TGA", "PCX", "SGI", "ICNS", "XBM"])
def test_formats_that_are_not(tmp_path, format):
    mode = "1" if format == "XBM" else "RGB"
    (tmp_path / "d.png").write_bytes(saved(Image.new(mode, (32, 32)), format))
    with pytest.raises(AttnvizError, match="is not an image") as caught:
        read(tmp_path / "d.png")
    assert "PNG, JPEG, GIF" in caught.value.hint


def test_no_program_is_started_by_a_file(tmp_path, monkeypatch):
    """Pillow gives an EPS to Ghostscript, whatever the file is called."""
    from PIL import EpsImagePlugin

    started = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {started}\n")
    (tmp_path / "gs").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(Image.new("RGB", (8, 8)), "EPS"))
    with pytest.raises(AttnvizError, match="is not an image"):
        read(path)
    assert not started.exists()


def test_a_damaged_image_is_one_error_and_no_warning(tmp_path):
    Image.init()
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.random.default_rng(0).integers(0, 255, (24, 24), np.uint8)
    picture = Image.fromarray(grey).convert("RGB")
    files = [saved(picture, name) for name in module.FORMATS if name in Image.SAVE]
    files += [saved(picture, name, exif=exif) for name in ("PNG", "JPEG", "TIFF", "WEBP")]
    files += [saved(picture.convert(mode), "TIFF") for mode in ("I", "F", "LAB", "CMYK", "YCbCr")]
    files += [saved(picture.convert("L").convert("I;16"), name) for name in ("TIFF", "PNG")]
    path, n_read = tmp_path / "d", 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, content in enumerate(files):
            for seed in range(40):
                path.write_bytes(mutate_bytes(random.Random(40 * number + seed), content))
                try:
                    n_read += read(path).values.shape == (1, 8, 8)
                except AttnvizError as error:
                    assert error.message  # noqa: PT017
    assert 0 < n_read < 40 * len(files)


def test_sixteen_bits_keep_their_proportions(digit, tmp_path):
    wide = digit.astype(np.uint16) * 257
    for format in ("PNG", "TIFF"):
        (tmp_path / "d").write_bytes(saved(Image.fromarray(wide), format))
        np.testing.assert_allclose(read(tmp_path / "d").shown, digit / 255, atol=1 / 255)
