"""Lessons as views: a title, what is shown, and the claims with what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.lessons import LESSONS, Claim, Lesson
from attnviz.lessons.language import Say
from attnviz.views.kinds import Line, Table, Text, View


def lesson_views(title: str, lesson: Lesson, say: Say) -> list[View]:
    """`title` as it is to be shown."""
    return [Text((Line(title, tone="head"),)), *lesson.views, claims_table(lesson.claims, say)]


def claims_table(claims: Sequence[Claim], say: Say) -> Table:
    rows = tuple(
        (claim.text, claim.measured, say("yes") if claim.holds else say("NO")) for claim in claims
    )
    return Table(say("claims, checked"), (say("claim"), say("measured"), say("holds")), rows)


def list_views(titles: Sequence[str], say: Say) -> list[View]:
    """All lessons, in the order in which they are best read."""
    rows = tuple(zip(LESSONS, titles, strict=True))
    note = say("attnviz learn NAME, or NAME:option=value; all for all of them")
    return [Table(say("lessons"), (say("name"), say("what it shows")), rows, (note,))]
