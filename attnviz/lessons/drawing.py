"""A small image, written as text: what lessons show to the model of digits."""

from __future__ import annotations

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array

SIDE = 8
THREE = "00599500/00000950/00000950/00099500/00000950/00000095/00000950/00599500"
"""Rows from the top, a pixel each from 0 (black) to 9 (white)."""


def read_drawing(drawing: str) -> Array:
    """[8, 8], from 0 to 1."""
    rows = drawing.split("/")
    if len(rows) != SIDE or any(len(row) != SIDE or not row.isdecimal() for row in rows):
        raise AttnvizError(
            f"drawing: expected {SIDE} rows of {SIDE} numbers from 0 to 9, separated by /, "
            f"got {drawing!r:.80}",
            THREE,
        )
    return np.array([[int(pixel) for pixel in row] for row in rows]) / 9
