"""Views -> bytes. An output format is one file in `formats`, imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.registry import ModuleRegistry
from attnviz.render.importing import import_matplotlib
from attnviz.render.style import PLAIN, FigureStyle

if TYPE_CHECKING:
    from attnviz.views.kinds import View

FORMATS = ModuleRegistry("format", "attnviz.render.formats", prefix=".")
"""By suffix: `FORMATS[".csv"].render(views)` gives the bytes and the warnings, and the first line
of the module says what the format is."""


def picture_formats() -> list[str]:
    """The suffixes of pictures: of the formats that say so of themselves."""
    return [suffix for suffix in FORMATS if is_picture(suffix)]


def is_picture(suffix: str) -> bool:
    """Whether a known suffix is that of a picture: of an image that `render` draws in a style."""
    return suffix in FORMATS and getattr(FORMATS[suffix], "PICTURE", False)


def render(
    views: Sequence[View], suffix: str, style: FigureStyle = PLAIN
) -> tuple[bytes, tuple[str, ...]]:
    """The views in the format of `suffix`, and warnings about what it could not show.

    Args:
        style: of pictures; formats of text have none.
    """
    module = FORMATS[suffix]
    rendered: tuple[bytes, tuple[str, ...]]
    if is_picture(suffix):
        import_matplotlib()
        rendered = module.render(views, style)
    else:
        rendered = module.render(views)
    return rendered
