"""Markdown: tables that hold together, and no token that styles or runs."""

from __future__ import annotations

import re

from attnviz.render import render
from attnviz.views.kinds import Table
from tests.render import samples


def test_markdown_tables_have_as_many_cells_as_columns():
    for views in (samples.every_kind(), samples.hostile_views()):
        content, _ = render(views, ".md")
        tables = re.findall(r"(?:^\|.*\n)+", content.decode(), re.MULTILINE)
        assert tables
        for table in tables:
            counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(counts) == 1, table


def test_markdown_says_what_is_masked_and_pooled():
    text = render([samples.two_reasons(), samples.heatmap(100)], ".md")[0].decode()
    assert "╱ masked: causal" in text
    assert "┄ masked: window:size=2" in text
    assert "| 2 a | ┄ | 0.500 | 0.500 | ╱ |" in text
    assert "each cell: 4 × 4 of 100 × 100" in text
    assert "| 0 I | 0.500 | ╱ |" in text


def test_markdown_puts_words_to_the_left():
    table = Table("t", ("n", "name", "x"), ((1, "a", 0.5), (2, None, 0.25)))
    assert "| ---: | --- | ---: |" in render([table], ".md")[0].decode()


def test_markdown_escapes_what_would_style_or_run():
    text = render(samples.hostile_views(), ".md")[0].decode()
    assert "\\</script\\>" in text
    assert "<script" not in text
    assert "\\[/INST\\]" in text


def test_links_as_markdown():
    text = render([samples.links()], ".md")[0].decode()
    assert "| 0 Good | 0 早 | 0.900 |" in text
    assert "0.060" not in text
    assert "2 weights under 0\\.1" in text or "2 weights under 0.1" in text
