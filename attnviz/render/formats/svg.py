"""SVG: a picture of lines and letters, for the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.render.style import PLAIN, FigureStyle

if TYPE_CHECKING:
    from attnviz.views.kinds import View

PICTURE = True

# no dates and no random ids: the same views give the same bytes
METADATA = {"Date": None, "Creator": "attnviz"}


def render(views: Sequence[View], style: FigureStyle = PLAIN) -> tuple[bytes, tuple[str, ...]]:
    from attnviz.render import figure

    return figure.draw(views, "svg", style, metadata=METADATA)
