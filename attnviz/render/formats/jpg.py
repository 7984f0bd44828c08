"""JPEG: a picture made of pixels, for programs that take no PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.render.style import PLAIN, FigureStyle

if TYPE_CHECKING:
    from attnviz.views.kinds import View

PICTURE = True

# letters and edges of cells blur at the usual quality, and with colours at half the resolution
QUALITY = {"quality": 95, "subsampling": 0}


def render(views: Sequence[View], style: FigureStyle = PLAIN) -> tuple[bytes, tuple[str, ...]]:
    from attnviz.render import figure

    return figure.draw(views, "jpg", style, pil_kwargs=QUALITY)
