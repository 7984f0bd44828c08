"""CSV, Markdown and plain text."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.render import FORMATS, render
from attnviz.views.kinds import Table
from tests.render import samples


def rows(views):
    content, _ = render(views, ".csv")
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_csv_holds_every_cell_in_full():
    heatmap = samples.heatmap(4, values=samples.causal(4).astype(np.float32))
    found = rows([heatmap])
    assert len(found) == 16
    for row in found:
        i, j = int(row["row"]), int(row["column"])
        if j > i:
            assert (row["value"], row["masked"]) == ("", "causal")
        else:
            assert np.float32(row["value"]) == heatmap.values[i, j]
            assert row["masked"] == ""
    assert found[0]["row_label"] == "I"


def test_csv_names_nan():
    assert [row["value"] for row in rows([samples.broken()])] == ["nan", "0.5", "inf", "0.0"]


def test_csv_of_one_table_is_that_table():
    content, _ = render([Table("t", ("a", "b"), ((1, "x,y"), (0.1, None)))], ".csv")
    assert content.decode() == 'a,b\n1,"x,y"\n0.1,\n'


def test_csv_leaves_nothing_out():
    views = [*samples.every_kind(), samples.two_reasons()]
    assert {row["view"] for row in rows(views)} == {
        "encoder.0.self L0.H0 · weights", "b - a · weights", "numbers", "curves", "alignment",
        "image", "L0 H0", "L0 H1",
    }  # fmt: skip


def test_csv_survives_hostile_tokens():
    found = rows(samples.hostile_views())
    assert {row["column_label"] for row in found} >= {
        "[/INST]",
        "⏎",
        "</script>",
        '"',
        "\\u202eabc",
    }


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


def test_text_is_the_terminal_without_colours():
    text = render(samples.every_kind(), ".txt")[0].decode()
    assert "\x1b" not in text
    assert "encoder.0.self L0.H0 · weights" in text


def test_formats():
    for suffix in FORMATS:
        content, _ = render(samples.every_kind(), suffix)
        assert content
    with pytest.raises(AttnvizError, match=r"unknown format: '\.bmp'"):
        render([], ".bmp")
