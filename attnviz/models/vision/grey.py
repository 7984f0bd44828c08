"""Grey images of one small size, light on dark: what the packaged `digits` reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.language import to_say
from attnviz.models.vision.images import (
    GREY,
    Pixels,
    Window,
    explained,
    opaque,
    open_image,
    resize,
)
from attnviz.nn.types import Array

BRIGHT = 0.5
"""A border brighter than this is paper: such an image is inverted, to light on dark."""


class GreyReader(NamedTuple):
    """Reads images of any kind as grey ones of one size, in pixels."""

    height: int
    width: int
    patch: int

    def read(self, image: str | Path | Array, check: Callable[[int], None] | None = None) -> Pixels:
        """See `ImageReader`."""
        from PIL import Image

        picture, name, opening_notes = open_image(image)
        notes, size = list(opening_notes), (self.height, self.width)
        if picture.mode not in GREY:
            notes.append(to_say("{name} was converted to grey", name=name))
        with explained(name):
            picture = opaque(picture).convert("L")
        window = Window(0, 0, picture.height, picture.width, picture.height, picture.width)
        if (picture.height, picture.width) != size:
            picture, resized = resize(picture, size, Image.Resampling.BOX, name)
            notes.append(resized)
        values, light_notes = _light_on_dark(np.asarray(picture, np.float64) / 255)
        notes.extend(light_notes)
        patch = self.patch, self.patch
        return Pixels(values[None], values, patch, tuple(notes), window=window)


def _light_on_dark(values: Array) -> tuple[Array, tuple[str, ...]]:
    """[height, width] -> the same, inverted if its border is bright; and notes on that."""
    if float(np.ptp(values)) < 1 / 255:
        return values, (
            to_say("the image has the same brightness everywhere: there is nothing to see"),
        )
    border = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    if float(np.median(border)) <= BRIGHT:
        return values, ()
    return 1 - values, (
        to_say("dark on light was inverted to light on dark, which the model was trained on"),
    )
