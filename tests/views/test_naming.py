"""Names of files: what they hold, in letters that any shell takes."""

from __future__ import annotations

import re

import pytest

from attnviz.views.naming import LONGEST, distinct, file_name, picture_name, pictures
from tests.render import samples


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("encoder.1.self L1.H3 · weights", "encoder.1.self-L1.H3-weights"),
        ("../../etc/passwd", "etc-passwd"),
        ("早上好", "早上好"),
        (".hidden\n\x1b[31m", "hidden-31m"),
        ("$(rm -rf)*?", "rm-rf"),
        ("...", ""),
    ],
)
def test_file_names(text, name):
    assert file_name(text) == name


def test_no_name_is_long():
    assert len(file_name("a" * 5000)) == LONGEST


def test_every_picture_has_one():
    found = pictures(samples.every_kind())
    assert len(found) >= 5
    for view in found:
        assert re.fullmatch(r"[\w.+-]+", picture_name(view))
        assert picture_name(view._replace(title="", name="")) == type(view).__name__.lower()


def test_names_differ_also_where_capitals_do_not_count():
    assert distinct(["a", "b", "A", "a"]) == ["a", "b", "A-2", "a-3"]
