"""Names of files: what a picture holds, in letters that every file system and shell takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attnviz.views.kinds import Curves, Grid, Heatmap, Links, Picture, View

Drawn = Heatmap | Grid | Links | Curves | Picture
"""The views that are pictures; the others are words."""

LONGEST, ABOUT = 48, 24
"""Characters of the name of a picture, and of what it is about."""


def file_name(text: str, longest: int = LONGEST) -> str:
    """What can be in the name of a file, with `-` for the rest; empty if nothing can.

    >>> file_name("encoder.1.self L1.H3 · weights")
    'encoder.1.self-L1.H3-weights'
    """
    plain = re.sub(r"[^\w.+]+", "-", text)
    return plain.strip("-.")[:longest].rstrip("-.")


def pictures(views: Iterable[View]) -> list[Drawn]:
    """The views that are pictures."""
    return [view for view in views if isinstance(view, Drawn)]


def picture_name(view: Drawn) -> str:
    """By what a picture is called that stands alone, without a suffix."""
    return file_name(view.name or view.title) or type(view).__name__.lower()


def distinct(names: Sequence[str]) -> list[str]:
    """Each name once, also where capitals do not count: the second `a` is `a-2`."""
    taken: set[str] = set()
    found = []
    for name in names:
        number, free = 2, name
        while free.casefold() in taken:
            free, number = f"{name}-{number}", number + 1
        taken.add(free.casefold())
        found.append(free)
    return found
