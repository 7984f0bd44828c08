"""The PNG writer, read back by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from attnviz.render.figure.png_file import ROWS, png_file


@pytest.mark.parametrize("height", [1, 7, ROWS, ROWS + 1, 2 * ROWS + 3])
@pytest.mark.parametrize("opaque", [True, False])
def test_pillow_reads_the_same_pixels(height: int, opaque: bool) -> None:
    pixels = np.random.default_rng(height).integers(0, 256, (height, 13, 4), np.uint8)
    pixels[height // 2 :] = pixels[height // 2]  # noise, and rows that repeat
    if opaque:
        pixels[..., 3] = 255
    image = Image.open(io.BytesIO(png_file(pixels, 200, {"Software": "attnviz"})))
    assert image.mode == ("RGB" if opaque else "RGBA")
    assert image.info["Software"] == "attnviz"
    assert image.info["dpi"] == pytest.approx((200, 200), abs=0.01)
    np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), pixels)
