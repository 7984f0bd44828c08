"""Which lesson a reader means."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.language import speaking
from attnviz.lessons import LESSONS
from attnviz.lessons.kit.search import find


def test_each_lesson_is_found_by_all_of_its_names():
    for name, module in LESSONS.items():
        for each in (name, *module.ALSO):
            assert find(each) == [name]
            assert find(each.upper().replace("-", " ")) == [name]


def test_words_of_title_and_text():
    assert find("why divide")[0] == "scaling"
    assert find("residuals connection")[0] == "block"
    with speaking("zh"):
        assert find("分页")[0] == "cache"


def test_words_that_stand_in_most_lessons_find_none():
    for common in ("the", "xyzzy", "a"):
        with pytest.raises(AttnvizError, match="unknown lesson"):
            find(common)
