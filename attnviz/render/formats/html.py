"""HTML: one page to explore, which opens anywhere and asks no server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnviz.views.kinds import View


def render(views: Sequence[View]) -> tuple[bytes, tuple[str, ...]]:
    from attnviz.render import html

    return html.render(views)
