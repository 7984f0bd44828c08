"""JPEG, as `.jpg`."""

from __future__ import annotations

from attnviz.render.formats.jpg import PICTURE, render

__all__ = ["PICTURE", "render"]
