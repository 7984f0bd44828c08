"""A port of a checkpoint beside ours: the first stage that deviates, and its cause."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.analysis.diagnose.port import PortCause, PortDiagnosis, Row
from attnviz.language import say
from attnviz.tokens import label
from attnviz.views.kinds import Line, Table, Text, View, verdicts

OWN = "port"
"""The id of a mistake that the catalogue does not have."""

MOST_CAUSES = 4
MOST_LAYERS = 8
AROUND = 12
"""Stages that are shown at most: those of the dump around the first that deviates."""


def port_views(found: PortDiagnosis, explained: bool = False) -> list[View]:
    """The verdict, the cause, and the stages around the first that deviates; `explained`: the
    diagnosis of the attention stands beside it, which says the cause."""
    lines = [_verdict(found), *(() if explained else _causes(found))]
    if len(found.layers) > 1:
        lines.append(Line(_layers(found), say("where")))
    if found.unread:
        names = ", ".join(map(label, found.unread[:4])) + (", …" if len(found.unread) > 4 else "")
        lines.append(Line(say("no stage by their names: {names}", names=names), say("not read"),
                          "note"))  # fmt: skip
    lines += [Line(say(note), say("note"), "note") for note in found.notes]
    return [Text(tuple(lines)), _table(found)]


def _verdict(found: PortDiagnosis) -> Line:
    if found.first is None:
        text = say(
            "all {n} stages of the dump are those of {model}, as far as rounding of {dtype} goes",
            n=len(found.rows), model=found.model, dtype=found.dtype,
        )  # fmt: skip
        return Line(text, say("matches"), "head")
    first = found.first
    if not np.isfinite(first.rms) and first.shape:
        text = say("{stage} has another shape: {array} {shape}", stage=first.at.name,
                   array=label(first.name), shape=list(first.shape))  # fmt: skip
        return Line(text, say("differs"), "warning")
    text = say(
        "{stage} is the first that deviates: rms {rms}, and rounding of {dtype} explains {floor}",
        stage=first.at.name, rms=f"{first.rms:.2g}", floor=f"{first.floor.rms:.1g}",
        dtype=found.dtype,
    )  # fmt: skip
    before = sum(each.holds for each in found.rows[: found.rows.index(first)])
    if before:
        text += say("; the {n} stages before it match", n=before)
    return Line(text, say("differs"), "warning")


def _causes(found: PortDiagnosis) -> list[Line]:
    if found.first is None:
        return []
    lines = []
    for number, cause in enumerate(found.causes[:MOST_CAUSES]):
        known = f" ({cause.id})" if cause.id != OWN else ""
        text = say("your numbers are what you get with {what}", what=cause.text()) + known
        text += _left(cause)
        lines.append(Line(text, say("cause") if not number else say("or"), "head"))
    if not lines and found.case is None:
        text = say("none of the known mistakes of ports explains it")
        lines.append(Line(text, say("cause"), "warning"))
    return lines


def _left(cause: PortCause) -> str:
    return say("; what is left: rms {rms}", rms=f"{cause.rms:.1g}")


def _layers(found: PortDiagnosis) -> str:
    shown = ", ".join(found.layers[:MOST_LAYERS])
    if len(found.layers) > MOST_LAYERS:
        shown += ", …"
    return say("blocks that deviate from what the dump has at their input: {blocks}", blocks=shown)


def _table(found: PortDiagnosis) -> Table:
    columns = (say("stage"), say("holds"), "rms", say("rounding"), say("array"))
    shown = _around(found)
    rows = tuple(
        (each.at.name, _verdict_of(each), f"{each.rms:.1e}", f"{each.floor.rms:.0e}", _array(each))
        for each in shown
    )  # fmt: skip
    notes = []
    if len(shown) < len(found.rows):
        notes.append(
            say("{shown} of {n} stages; --json has all", shown=len(shown), n=len(found.rows))
        )
    holds = [each.holds or each.elsewhere for each in shown]
    return Table(say("stages in the order of the forward pass"), columns, rows, tuple(notes),
                 tones=verdicts(1, holds))  # fmt: skip


def _verdict_of(each: Row) -> str:
    if each.holds:
        return say("yes")
    return say("elsewhere") if each.elsewhere else say("no")


def _array(each: Row) -> str:
    name = label(each.name)
    return f"{name} ({each.how})" if each.how else name


def _around(found: PortDiagnosis) -> Sequence[Row]:
    """Some rows around the first that deviates, or the first ones."""
    rows = found.rows
    if found.first is None:
        return rows[:AROUND]
    at = rows.index(found.first)
    first = max(0, min(at - AROUND // 3, len(rows) - AROUND))
    return rows[first : first + AROUND]
