"""Lessons in English, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from attnviz.lessons import LESSONS
from attnviz.lessons.kit import Lesson

Take = Callable[..., Lesson]


@pytest.fixture(scope="session")
def take() -> Take:
    """`take("retrieval", query="moose")`: the lesson with options of one's own."""

    def give(name: str, **options: Any) -> Lesson:
        lesson: Lesson = LESSONS[name].lesson(**options)
        return lesson

    return give
