"""Views -> bytes: one file an output format, imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.views.kinds import View

FORMATS = {
    ".png": "figure",
    ".svg": "figure",
    ".pdf": "figure",
    ".csv": "csv",
    ".md": "markdown",
    ".txt": "text",
}


def render(views: Sequence[View], suffix: str) -> tuple[bytes, tuple[str, ...]]:
    """The views in the format of `suffix`, and what there is to warn of."""
    if suffix not in FORMATS:
        raise AttnvizError(f"unknown format {suffix!r}", f"known: {', '.join(FORMATS)}")
    module = import_module(f"attnviz.render.{FORMATS[suffix]}")
    rendered: tuple[bytes, tuple[str, ...]] = module.render(views, suffix)
    return rendered
