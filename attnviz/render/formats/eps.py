"""EPS: a picture of lines and letters, for journals that take no PDF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.render.style import PLAIN, FigureStyle

if TYPE_CHECKING:
    from attnviz.views.kinds import View

PICTURE = True

METADATA = {"Creator": "attnviz"}

DATE = re.compile(rb"^%%CreationDate: .*\n", re.MULTILINE)
"""The same views give the same bytes."""


def render(views: Sequence[View], style: FigureStyle = PLAIN) -> tuple[bytes, tuple[str, ...]]:
    from attnviz.render import figure

    content, warnings = figure.draw(views, "eps", style, metadata=METADATA)
    return DATE.sub(b"", content, count=1), warnings
