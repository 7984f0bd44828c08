"""Whether what a file gives is what its own q, k and v give."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.analysis.given import Match
from attnviz.language import say
from attnviz.views.kinds import Line, Table, Text, View, verdicts

MOST_ROWS = 12


def match_views(found: Sequence[Match], remedy: str = "") -> list[View]:
    """A sentence if all match, else a table of those that do not; `remedy` are the options with
    which they would."""
    if not found:
        return []
    off = [match for match in found if not match.holds]
    if not off:
        stages = ", ".join(dict.fromkeys(match.stage for match in found))
        largest = max(match.largest or 0.0 for match in found)
        text = say(
            "{stages} of the file are what its q, k and v give: the largest difference is "
            "{largest}, rounding",
            stages=stages, largest=f"{largest:.2g}",
        )  # fmt: skip
        return [Text((Line(text, say("matches"), "head"),))]
    columns = ("", say("stage"), say("largest difference"), say("rounding"), say("at"))
    rows = tuple(
        (m.record, _stage(m), _largest(m), f"{m.allowed:.2g}", _at(m)) for m in off[:MOST_ROWS]
    )
    notes = []
    if len(off) > MOST_ROWS:
        notes.append(say("and {n} more", n=len(off) - MOST_ROWS))
    notes.append(
        say("they match with {options}", options=remedy)
        if remedy
        else say("`attnviz diagnose` searches the known mistakes for one that explains it")
    )
    title = say("not what q, k and v give: {n} of {all} arrays", n=len(off), all=len(found))
    tones = verdicts(2, [False] * len(rows))
    return [Table(title, columns, rows, tuple(notes), tones=tones)]


def _stage(match: Match) -> str:
    return f"{match.stage} ({match.what})" if match.what else match.stage


def _largest(match: Match) -> str:
    if match.largest is None:
        return say("shape {shape}", shape=list(match.shape))
    return f"{match.largest:.3g}"


def _at(match: Match) -> str:
    names: tuple[str, ...] = (
        "H",
        say("query "),
        say("dimension ") if match.stage == "context" else say("key "),
    )
    if match.largest is None:
        return ""
    if match.what and len(match.at) == 2:
        names = names[1:]
    return " ".join(f"{name}{i}" for name, i in zip(names, match.at, strict=False))
