"""Plain text: what the terminal shows, 100 columns wide, without colours."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.render.terminal import render as draw
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import View

WIDTH = 100


def render(views: Sequence[View]) -> tuple[bytes, tuple[str, ...]]:
    return draw(views, Screen(WIDTH)), ()
