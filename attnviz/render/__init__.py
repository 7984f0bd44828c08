"""Views -> bytes. An output format is one file in `formats`, imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.registry import ModuleRegistry

if TYPE_CHECKING:
    from attnviz.views.kinds import View

FORMATS = ModuleRegistry("format", "attnviz.render.formats", prefix=".")
"""By suffix: `FORMATS[".csv"].render(views)` gives the bytes and the warnings, and the first line
of the module says what the format is."""


def render(views: Sequence[View], suffix: str) -> tuple[bytes, tuple[str, ...]]:
    """The views in the format of `suffix`, and warnings about what it could not show."""
    rendered: tuple[bytes, tuple[str, ...]] = FORMATS[suffix].render(views)
    return rendered
