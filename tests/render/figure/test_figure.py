"""PNG, SVG and PDF: true colours, the same bytes twice, and no token that breaks them."""

from __future__ import annotations

import functools
import re
import xml.etree.ElementTree as ET

import matplotlib
import pytest

from attnviz.errors import AttnvizError
from attnviz.render import render
from tests.render import samples

SUFFIXES = (".png", ".svg", ".pdf", ".eps", ".jpg", ".webp")


@functools.cache
def every_kind(suffix):
    return render(samples.every_kind(), suffix)


ALLOWED = re.compile("^no installed font has CJK|is no TrueType font")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_view(suffix):
    content, warnings = every_kind(suffix)
    assert content[:4] in (b"\x89PNG", b"<?xm", b"%PDF", b"%!PS", b"\xff\xd8\xff\xe0", b"RIFF")
    # on a machine without a Chinese font, that is said, and nothing else
    assert [w for w in warnings if not ALLOWED.search(w)] == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_bytes_twice(suffix):
    assert render(samples.every_kind(), suffix) == every_kind(suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_of_a_user_s_settings_gets_in(suffix):
    with matplotlib.rc_context(
        {"font.size": 30, "image.cmap": "jet", "savefig.dpi": 7, "lines.color": "red"}
    ):
        assert render(samples.every_kind(), suffix) == every_kind(suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_hostile_tokens(suffix):
    """One $ would abort a figure whose text is read as mathematics."""
    content, _ = render(samples.hostile_views(), suffix)
    if suffix == ".svg":
        assert ET.fromstring(content).tag.endswith("svg")


def test_svg_refers_to_nothing_outside():
    content, _ = every_kind(".svg")
    links = re.findall(rb'href="([^"]*)"', content)
    assert links
    assert all(link.startswith((b"#", b"data:")) for link in links)
    assert b"<script" not in content


def test_a_figure_beyond_all_measure_is_refused():
    with pytest.raises(AttnvizError, match="too large to draw"):
        render([samples.heatmap(50)] * 200, ".png")
