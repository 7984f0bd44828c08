"""Every format draws every kind of view; others are refused."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.render import FORMATS, render
from tests.render import samples


def test_formats():
    for suffix in FORMATS:
        content, _ = render(samples.every_kind(), suffix)
        assert content
    with pytest.raises(AttnvizError, match=r"unknown format: '\.bmp'"):
        render([], ".bmp")
