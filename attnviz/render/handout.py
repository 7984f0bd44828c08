"""A document of several chapters in Markdown, with its pictures as files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from attnviz.render import figure
from attnviz.render.formats import md, png
from attnviz.views.kinds import Table, Text, View
from attnviz.views.naming import distinct, picture_name
from attnviz.views.naming import pictures as pictures_of


class Handout(NamedTuple):
    document: bytes
    pictures: dict[str, bytes]
    """By file name, as the document names them."""
    warnings: tuple[str, ...]


def render(chapters: Sequence[tuple[str, Sequence[View]]], folder: str) -> Handout:
    """Chapters (name, views) -> a document whose pictures lie in `folder` beside it.

    Texts and tables are Markdown; everything else is drawn.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    drawn: list[View] = []
    for name, views in chapters:
        names = iter(distinct([f"{name}-{picture_name(view)}" for view in pictures_of(views)]))
        for view in views:
            if isinstance(view, Text | Table):
                parts.append(md.render([view])[0].decode().strip())
                continue
            drawn.append(view)
            file = f"{next(names)}.png"
            pictures[file], _ = png.render([view])
            parts.append(f"![{md.escaped(view.title)}]({quote(f'{folder}/{file}')})")
    return Handout(("\n\n".join(parts) + "\n").encode(), pictures, figure.missing_fonts(drawn))
