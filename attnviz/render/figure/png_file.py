"""Pixels as a PNG file.

Pages are mostly flat: less the row above, most bytes are 0, and a light compression makes a smaller
file of them than a thorough one of the bytes as they are, in half the time.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np

from attnviz.nn.types import Array

ROWS = 64
"""At a time: what is read next is still in the processor's cache."""
UP = 2
"""The filter: every byte less the one above it."""
LEVEL = 4


def png_file(pixels: Array, dpi: float, texts: Mapping[str, str]) -> bytes:
    """The file of pixels [height, width, 4] of bytes, red to alpha, without alpha where all of
    them are opaque.

    Args:
        texts: by keyword (`Software`), in Latin letters.

    Sources: PNG specification, third edition (W3C, 2025).
    """
    height, width, _ = pixels.shape
    n_channel = 3 if (pixels[..., 3] == 255).all() else 4
    size = struct.pack(">IIBBBBB", width, height, 8, 2 if n_channel == 3 else 6, 0, 0, 0)
    per_metre = round(dpi / 0.0254)
    chunks = [
        (b"IHDR", size),
        *((b"tEXt", f"{key}\0{text}".encode("latin-1")) for key, text in texts.items()),
        (b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
        (b"IDAT", _compressed(pixels[..., :n_channel])),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + _checksum(kind + content)


def _checksum(content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content))


def _compressed(pixels: Array) -> bytes:
    """[height, width, n_channel]: each row as its filter and its bytes less those above."""
    height, width, n_channel = pixels.shape
    compressor = zlib.compressobj(LEVEL)
    rows = np.zeros((ROWS + 1, width * n_channel), np.uint8)
    filtered = np.full((ROWS, 1 + width * n_channel), UP, np.uint8)
    parts = []
    for start in range(0, height, ROWS):
        n_row = min(ROWS, height - start)
        rows[1 : n_row + 1].reshape(n_row, width, n_channel)[:] = pixels[start : start + n_row]
        np.subtract(rows[1 : n_row + 1], rows[:n_row], out=filtered[:n_row, 1:])
        parts.append(compressor.compress(filtered[:n_row].data))
        rows[0] = rows[n_row]
    return b"".join([*parts, compressor.flush()])
