"""Lessons in English, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from attnviz.lessons import LESSONS
from attnviz.lessons.kit import Lesson
from attnviz.lessons.kit.language import speak

Take = Callable[..., Lesson]


@pytest.fixture(scope="session")
def take() -> Take:
    """`take("retrieval", query="moose")`: the lesson with options of one's own."""
    say = speak()

    def give(name: str, **options: Any) -> Lesson:
        lesson: Lesson = LESSONS[name].lesson(say, **options)
        return lesson

    return give
