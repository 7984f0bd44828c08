"""What the tests of the terminal draw with."""

from __future__ import annotations

import re

from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen

WIDTHS = (40, 80, 120)


DEPTHS = (0, 16, 256, 16777216)


ESCAPES = re.compile("\x1b\\[[0-9;]*m")


def drawn(views, width=80, depth=0, unicode=True):
    return render(views, Screen(width, depth, unicode)).decode()


def plain(text):
    return ESCAPES.sub("", text)
