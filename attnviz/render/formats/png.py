"""PNG: a picture made of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.render.style import PLAIN, FigureStyle

if TYPE_CHECKING:
    from attnviz.views.kinds import View

PICTURE = True

# no dates and no random ids: the same views give the same bytes
METADATA = {"Software": "attnviz"}


def render(views: Sequence[View], style: FigureStyle = PLAIN) -> tuple[bytes, tuple[str, ...]]:
    from attnviz.render import figure

    return figure.draw(views, "png", style, metadata=METADATA)
