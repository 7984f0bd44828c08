"""Ideas of attention, live: one file a lesson, with its claims checked as they are shown.

A lesson's file has a `TITLE` and a function `lesson(say, *, option=default, …) -> Lesson`. All
that it says goes through `say`, which translates it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.lessons.language import Say
from attnviz.registry import nearest, read_options
from attnviz.views.kinds import View

LESSONS = (
    "steps",
    "context",
    "retrieval",
    "pooling",
    "scores",
    "scaling",
    "masks",
    "heads",
    "three",
    "positions",
    "embedding",
    "norms",
    "block",
    "cost",
    "sequence",
    "cache",
    "image",
    "caveats",
)
"""In the order in which they are best read."""


class Claim(NamedTuple):
    """What a lesson says, and whether the numbers that it shows bear it out."""

    text: str
    measured: str
    """The value that decides, in words and numbers."""
    holds: bool


class Lesson(NamedTuple):
    """What is shown: an explanation, numbers, pictures; and what is claimed of them."""

    views: tuple[View, ...]
    claims: tuple[Claim, ...]


class Chosen(NamedTuple):
    """A lesson with the reader's own input."""

    name: str
    title: str
    """In English: `say` translates it."""
    function: Callable[..., Lesson]
    options: Mapping[str, Any]

    def give(self, say: Say) -> Lesson:
        return self.function(say, **self.options)


def choose(name: str, given: Mapping[str, str]) -> Chosen:
    """The lesson of this name, with its options as the reader wrote them.

    Raises:
        AttnvizError: there is no such lesson, or it has no such option.
    """
    if name not in LESSONS:
        raise AttnvizError(f"there is no lesson {name!r}", nearest(name, LESSONS))
    module = import_module(f"{__name__}.{name}")
    options = read_options(module.lesson, f"the lesson {name!r}", given, f"{name}:{{}}=…")
    return Chosen(name, module.TITLE, module.lesson, options)
