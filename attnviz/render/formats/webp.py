"""WebP: a picture made of pixels, without loss, smaller than a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.render.style import PLAIN, FigureStyle

if TYPE_CHECKING:
    from attnviz.views.kinds import View

PICTURE = True

LOSSLESS = {"lossless": True, "exact": True}


def render(views: Sequence[View], style: FigureStyle = PLAIN) -> tuple[bytes, tuple[str, ...]]:
    from attnviz.render import figure

    return figure.draw(views, "webp", style, pil_kwargs=LOSSLESS)
