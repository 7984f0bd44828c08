"""Plain text."""

from __future__ import annotations

from attnviz.render import render
from tests.render import samples


def test_text_is_the_terminal_without_colours():
    text = render(samples.every_kind(), ".txt")[0].decode()
    assert "\x1b" not in text
    assert "encoder.0.self L0.H0 · weights" in text
