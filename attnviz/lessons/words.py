"""What several lessons say in the same way."""

from __future__ import annotations

from attnviz.views.kinds import Line, Text


def prose(*paragraphs: str) -> Text:
    """Plain paragraphs."""
    return Text(tuple(map(Line, paragraphs)))
