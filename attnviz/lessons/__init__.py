"""Ideas of attention, live: one file a lesson, with its claims checked as they are shown.

How to write one: `attnviz/lessons/kit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.parse import read_toml
from attnviz.registry import ModuleRegistry, read_options

if TYPE_CHECKING:
    from attnviz.lessons.kit import Lesson

LESSONS = ModuleRegistry("lesson", "attnviz.lessons", helpers=("kit",))

EXAMPLE = "samples/lessons/retrieval.toml"

GROUPS = {
    "start": to_say("start here"),
    "deeper": to_say("deeper"),
    "models": to_say("models compared"),
    "practice": to_say("practice"),
}
"""What a lesson calls its `GROUP` -> its heading in the list, in the order for beginners."""


class Chosen(NamedTuple):
    """A lesson with the reader's own input."""

    name: str
    title: str
    """In English: `say` translates it."""
    function: Callable[..., Lesson]
    options: Mapping[str, Any]

    def give(self) -> Lesson:
        return self.function(**self.options)


def choose(name: str, options: Mapping[str, str]) -> Chosen:
    """The lesson of this name, with its options as the reader wrote them.

    Raises:
        AttnvizError: there is no such lesson, or it has no such option.
    """
    module = LESSONS[name]
    values = read_options(module.lesson, f"the lesson {name!r}", options, f"{name}:{{}}=…")
    return Chosen(name, module.TITLE, module.lesson, values)


def question(name: str) -> str:
    """What the lesson answers, in English: `say` translates it."""
    module = LESSONS[name]
    return str(getattr(module, "QUESTION", module.TITLE))


def groups() -> dict[str, list[str]]:
    """The lessons by the heading of their group, each in reading order; those that name no group
    go deeper."""
    result: dict[str, list[str]] = {heading: [] for heading in GROUPS.values()}
    for name in reading_order():
        result[GROUPS.get(getattr(LESSONS[name], "GROUP", ""), GROUPS["deeper"])].append(name)
    return {heading: names for heading, names in result.items() if names}


def reading_order() -> list[str]:
    """The names of all lessons, each after the one that its `AFTER` names. Where several follow
    the same, those come first that nothing follows; those whose predecessor is missing come last.
    """
    followers: dict[str, list[str]] = {}
    for name in sorted(LESSONS):
        followers.setdefault(LESSONS[name].AFTER, []).append(name)
    order: list[str] = []

    def follow(predecessor: str) -> None:
        for name in sorted(followers.pop(predecessor, ()), key=lambda name: name in followers):
            order.append(name)
            follow(name)

    for predecessor in ("", *sorted(followers)):
        follow(predecessor)
    return order


def read_input(path: Path) -> tuple[str, dict[str, str]]:
    """A lesson's input as a TOML file -> its name, and its options as the command line would have
    them.

    Raises:
        AttnvizError: the file cannot be read, names no lesson, or holds what is not an option.
    """
    values = read_toml(path, EXAMPLE)
    name = values.pop("lesson", None)
    if not isinstance(name, str):
        raise AttnvizError(
            f"{path} does not say which lesson it is for", 'write for example lesson = "retrieval"'
        )
    return name, {key: _option(path, key, value) for key, value in values.items()}


def _option(path: Path, key: str, value: Any) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and value and all(isinstance(part, int) for part in value):
        return ",".join(map(str, value))
    raise AttnvizError(
        f"{path}: {key}: expected a word, a number or whole numbers, got {value!r}",
        f"write for example {key} = 4",
    )
