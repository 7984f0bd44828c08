"""Markdown: tables that hold together, and no token that styles or runs."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from attnviz.render import render
from attnviz.render.formats import md
from attnviz.views.kinds import Line, Table, Text
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


def shown(source):
    """What a viewer makes of the one cell of a table: its text, and its HTML."""
    page = MarkdownIt("commonmark").enable("table").render(f"| h |\n| --- |\n| {source} |\n")
    cell = re.search("<td>(.*?)</td>", page, re.DOTALL)
    assert cell is not None, page
    return html.unescape(re.sub("</?code>", "", cell[1])), cell[1]


ACTIVE = (
    "https://x.y/a?b=1&lt;c", "www.a.com", "a.com", "me@x.org", "@octocat", "#12", ":smile:", ":+1:",
    "mailto:x", "GH-7",
)  # fmt: skip


@pytest.mark.parametrize("text", [*ACTIVE, "**http://a**", "<http://a>", "![x](http://y)"])
def test_markdown_makes_code_of_what_a_viewer_would_act_on(text):
    """GitHub looks for links, mentions and emoji in what comes out of the escapes."""
    assert md.escaped(text) == f"`{text}`"
    assert shown(md.escaped(text))[0] == text


@pytest.mark.parametrize(
    "text",
    ["encoder.0.self L0.H0 · weights", "L1.H3", "window:size=2", "0.5", "a: b", "# 1", "3. a"],
)
def test_markdown_leaves_the_rest_as_text(text):
    assert "`" not in md.escaped(text)
    assert shown(md.escaped(text)) == (text, text)


PIECES = (
    *ACTIVE, "&lt;", "&amp;", "&#58;", "<b>", "</b>", "`", "``", "|", "\\", "*", "_", "~~", "$", "!",
    "[x]", "(y)", "<!--", "-->", "1.", "+", "-", "{", "早", "␣", " ", " ",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_markdown_shows_any_text_as_it_is(pieces):
    text = " ".join("".join(pieces).split()) or "x"
    plain, source = shown(md.escaped(text))
    assert plain == text
    assert set(re.findall("<[^>]*>", source)) <= {"<code>", "</code>"}


def test_lines_below_a_term_belong_to_it():
    lines = Line("one", "term"), Line("2. two"), Line("$ attnviz run `x`", "try"), Line("three")
    source = render([Text(lines)], ".md")[0].decode()
    page = MarkdownIt("commonmark").render(source)
    items = re.findall("<li>(.*?)</li>", page, re.DOTALL)
    assert [item.replace("<br />\n", "⏎") for item in items] == [
        "<strong>term</strong>: one⏎2. two",
        "<strong>try</strong>: <code>attnviz run `x`</code>⏎three",
    ]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_a_command_of_any_characters_is_code(pieces):
    command = "attnviz " + (" ".join("".join(pieces).split()) or "x")
    source = render([Text((Line(f"$ {command}", "term"),))], ".md")[0].decode()
    page = MarkdownIt("commonmark").render(source)
    shown_code = re.fullmatch(
        r"<ul>\n<li><strong>term</strong>: <code>(.*)</code></li>\n</ul>\n", page
    )
    assert shown_code is not None, page
    assert html.unescape(shown_code[1]) == command
