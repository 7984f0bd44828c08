"""EPS: a picture of lines and letters, for journals that take no PDF."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attnviz.render.style import PLAIN, FigureStyle

if TYPE_CHECKING:
    from attnviz.views.kinds import View

PICTURE = True

METADATA = {"Creator": "attnviz"}

DATE = re.compile(rb"^%%CreationDate: .*\n", re.MULTILINE)
"""The same views give the same bytes."""


def render(views: Sequence[View], style: FigureStyle = PLAIN) -> tuple[bytes, tuple[str, ...]]:
    from attnviz.render import figure

    with _font_boxes_as_they_stand():
        content, warnings = figure.draw(views, "eps", style, metadata=METADATA)
    return DATE.sub(b"", content, count=1), warnings


@contextlib.contextmanager
def _font_boxes_as_they_stand() -> Iterator[None]:
    """The box around all letters of a font is in its header; Matplotlib would draw thousands of
    glyphs to find it, which takes seconds."""
    from matplotlib.backends import backend_ps

    name = "_bounds"  # of releases that have it
    found = getattr(backend_ps, name, None)
    setattr(backend_ps, name, _box_in_header)
    try:
        yield
    finally:
        setattr(backend_ps, name, found)


def _box_in_header(font: Any) -> tuple[int, int, int, int]:
    head = font["head"]
    return head.xMin, head.yMin, head.xMax, head.yMax
