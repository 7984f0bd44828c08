"""What the tests of figures draw with."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from attnviz.render import render
from attnviz.views.kinds import Heatmap, indices


def image(views):
    content, _ = render(views, ".png")
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def holds(picture, colour, at_least=1):
    """Whether exactly this colour is in the picture."""
    found = (picture == np.round(np.array(colour[:3]) * 255).astype(np.uint8)).all(-1)
    return found.sum() >= at_least


VALUES = np.array([[0.0, 0.25], [0.5, 1.0]])


def square(values=VALUES, **given):
    rows, columns = (
        indices(name, n) for name, n in zip(("query", "key"), values.shape, strict=True)
    )
    return Heatmap("h", values, rows, columns, **given)


class Drawn(list):
    """A page that keeps what is written on it: (x, y, text, style)."""

    def text(self, x, y, text, **style):
        self.append((x, y, text, style))


def written(box):
    page = Drawn()
    box.draw(page, 0, 0)
    return [each for each in page if each[2]]
