"""A lesson as it is shown, and as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from attnviz.language import say
from attnviz.lessons import LESSONS
from attnviz.lessons.kit import Claim, Lesson, Try
from attnviz.nn.types import Array
from attnviz.views.kinds import (
    Curves,
    Grid,
    Heatmap,
    Line,
    Links,
    Picture,
    Table,
    Text,
    Value,
    View,
    verdicts,
)


def lesson_views(module: ModuleType, lesson: Lesson) -> list[View]:
    """A lesson as it is read: its question and the idea of the answer, what it shows, what to try,
    its claims as measured, and what to take next. What a module does not say is left out."""
    words = lesson_words(module)
    parts = (
        [Line(words["title"], tone="head")],
        [
            Line(words[key], term)
            for key, term in (("question", say("question")), ("intuition", say("intuition")))
            if words[key]
        ],
    )
    return [
        *map(_text, filter(None, parts)),
        *lesson.views,
        *_commands(say("try this"), words["try"]),
        claims_table(lesson.claims),
        *_commands(say("next"), words["next"]),
    ]


def lesson_words(module: ModuleType) -> dict[str, Any]:
    """What a lesson's module says besides what it shows, in the reader's language."""
    return {
        "title": say(module.TITLE),
        "question": _said(module, "QUESTION"),
        "intuition": _said(module, "INTUITION"),
        "try": [_try(each) for each in getattr(module, "TRY", ())],
        "next": [_try(each) for each in getattr(module, "NEXT", ())],
    }


def _said(module: ModuleType, constant: str) -> str:
    message = getattr(module, constant, "")
    return say(message) if message else ""


def _try(each: Try | str) -> dict[str, str]:
    """A command, and what is to be seen; a lesson's name stands for the command that gives it."""
    if isinstance(each, str):
        each = Try(f"attnviz learn {each}", LESSONS[each].TITLE)
    return {"command": each.command, "expect": say(each.expect)}


def _commands(term: str, commands: Sequence[Mapping[str, str]]) -> list[Text]:
    """The term beside the first of them."""
    lines = [text for each in commands for text in (f"$ {each['command']}", each["expect"])]
    return [_text([Line(lines[0], term), *map(Line, lines[1:])])] if lines else []


def _text(lines: Sequence[Line]) -> Text:
    return Text(tuple(lines))


def claims_table(claims: Sequence[Claim]) -> Table:
    rows = tuple(
        (claim.text, claim.measured, say("yes") if claim.holds else say("NO")) for claim in claims
    )
    columns = (say("claim"), say("measured"), say("holds"))
    tones = verdicts(2, (claim.holds for claim in claims))
    return Table(say("claims, checked"), columns, rows, tones=tones)


def list_views(groups: Mapping[str, Mapping[str, str]]) -> list[View]:
    """The heading of each group, its lessons and their questions, as they are to be shown."""
    rows = [
        ("" if number else heading, name, question)
        for heading, lessons in groups.items()
        for number, (name, question) in enumerate(lessons.items())
    ]
    note = say("attnviz learn NAME, or NAME:option=value; all for all of them")
    columns = (say("group"), say("name"), say("question"))
    return [Table(say("lessons"), columns, tuple(rows), (note,))]


def arrays(views: Sequence[View]) -> dict[str, Array]:
    """The numbers of all pictures, by their view's number and their title."""
    return {
        f"{number} {name}": array
        for number, view in enumerate(views)
        for name, array in _named(view)
    }


def texts_and_tables(views: Sequence[View]) -> list[dict[str, Any]]:
    """The texts and tables, with their view's number."""
    entries: list[dict[str, Any]] = []
    for number, view in enumerate(views):
        if isinstance(view, Text):
            entries.append({"view": number, "text": [line.text for line in view.lines]})
        elif isinstance(view, Table):
            rows = [[_finite(value) for value in row] for row in view.rows]
            table = view._replace(rows=())._asdict() | {"rows": rows}
            entries.append({"view": number, "table": table})
    return entries


def _finite(value: Value) -> Value:
    """JSON has neither NaN nor Infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _named(view: View) -> Iterator[tuple[str, Array]]:
    if isinstance(view, Heatmap | Links):
        yield view.title, view.values
    elif isinstance(view, Grid):
        for panel in view.present():
            yield f"{view.title} · {panel.title}", panel.values
    elif isinstance(view, Picture):
        yield f"{view.title} · image", view.image
        yield from _named(view.grid())
    elif isinstance(view, Curves):
        yield f"{view.title} · {view.x_name}", view.x
        for name, y in view.series:
            yield f"{view.title} · {name}", y
