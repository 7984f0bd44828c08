"""What holds of all attention weights, and what of a file's does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnviz.analysis.checks import Finding
from attnviz.analysis.invariants import AGAIN, INVARIANTS, Tested, Violation
from attnviz.language import say
from attnviz.trace.parts import Part
from attnviz.views.kinds import CellTone, Line, Table, Text, Value, View
from attnviz.views.numbers import short

HOLDS = 1
"""The column of the verdicts."""


def invariant_views(
    found: Sequence[Tested],
    parts: Sequence[Part],
    notes: Sequence[Finding],
    untested: Sequence[str],
    most: int,
) -> list[View]:
    """A sentence, a line for each invariant, the worst violations, and what is to be said.

    Args:
        untested: why something could not be tested, a sentence each.
        most: so many violations are listed.
    """
    off = [each for each in found if not each.holds]
    n = sum(each.n_off for each in off)
    n_head = sum(len(part.weights) for part in parts)
    if off:
        text = say("{n} violations; attentions: {parts}, heads: {heads}",
                   n=f"{n:,}", parts=len(parts), heads=n_head)  # fmt: skip
    else:
        text = say("attentions: {parts}, heads: {heads}",
                   parts=len(parts), heads=n_head)  # fmt: skip
    term = say("violated") if off else say("holds")
    views: list[View] = [Text((Line(text, term, "warning" if off else "head"),))]
    sinks = any(part.sinks for part in parts)
    views.append(_table(found, sinks))
    violations = sorted((v for each in off for v in each.violations), key=lambda v: -v.off)
    if violations:
        views.append(_violations(violations, n, most, sinks))
    lines = [Line(text, say("not tested"), "note") for text in untested]
    lines += [Line(note.text, say(note.kind), note.kind) for note in notes]
    return [*views, Text(tuple(lines))] if lines else views


def _table(found: Sequence[Tested], sinks: bool) -> Table:
    columns = (
        say("invariant"), say("holds"), say("tested"), say("worst"), say("rounding allows"),
        say("at"),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    tones: dict[tuple[int, int], CellTone] = {}
    for number, each in enumerate(found):
        worst = each.worst
        if worst is None:
            said = say("not tested") if each.untested else say("nothing to test")
            rows.append((title(each.name, sinks), said, None, None, None, None))
            tones[number, HOLDS] = "faint"
            continue
        verdict = say("yes") if each.holds else say("no: {n}", n=f"{each.n_off:,}")
        n = f"{each.n_tested:,}"
        tested = say("{n} rows", n=n) if each.unit == "rows" else say("{n} cells", n=n)
        rows.append((
            title(each.name, sinks), verdict, tested, short(worst.off),
            short(worst.allowed), place(worst) if worst.off else None,
        ))  # fmt: skip
        tones[number, HOLDS] = "good" if each.holds else "bad"
    return Table(say("invariants"), columns, tuple(rows), tones=tones)


def title(name: str, sinks: bool) -> str:
    """What an invariant says, of heads with sinks or without."""
    if name in INVARIANTS:
        entry = INVARIANTS[name]
        return say((sinks and entry.with_sinks) or entry.title)
    if name.endswith("weights"):
        return say("weights, from q and k")
    return say("{stage}, from q, k and v", stage=name.split()[-1])


def _violations(violations: Sequence[Violation], n: int, most: int, sinks: bool) -> Table:
    columns = say("violation"), say("where"), say("value"), say("off by")
    rows = tuple(
        (title(each.invariant, sinks), place(each), _value(each), short(each.off))
        for each in violations[:most]
    )
    notes = []
    if n > len(rows):
        notes.append(say("the largest {shown} of {n}; --json has more", shown=len(rows), n=n))
    return Table(say("violations"), columns, rows, tuple(notes))


def place(each: Violation) -> str:
    """`encoder.0.self H2 row 3 key 4`."""
    words = [each.record]
    if each.head is not None:
        words.append(f"H{each.head}")
    if each.row is not None:
        words.append(say("row {row}", row=each.row))
    if each.column is not None:
        is_width = each.invariant.endswith("context")
        words.append(
            say("dimension {i}", i=each.column) if is_width else say("key {i}", i=each.column)
        )
    return " ".join(words)


def untested(found: Sequence[Tested], parts: Sequence[Part], others: Sequence[str]) -> list[str]:
    """Why something could not be tested, a sentence each."""
    reasons = []
    for each in found:
        if each.name not in INVARIANTS or not each.untested:
            continue
        entry = INVARIANTS[each.name]
        if not entry.untested:
            continue
        which = "" if each.untested == len(parts) else f" ({each.untested}/{len(parts)})"
        reasons.append(f"{say(entry.title)}{which}: {say(entry.untested)}")
    again = any(each.name.startswith(AGAIN) or each.name == "of_logits" for each in found)
    if not again and not others:
        reasons.append(say("the softmax itself: the file has no q and k, and no logits"))
    return [*reasons, *others]


def manifest(
    file: str, found: Sequence[Tested], notes: Sequence[Finding], reasons: Sequence[str]
) -> dict[str, Any]:
    """What was found, as data."""
    violations = sorted((v for each in found for v in each.violations), key=lambda v: -v.off)
    return {
        "format": "attnviz-check",
        "version": 1,
        "file": file,
        "verdict": "holds" if all(each.holds for each in found) else "violated",
        "invariants": [each.manifest() for each in found],
        "violations": [each.manifest() for each in violations],
        "not_tested": list(reasons),
        "notes": [note.text for note in notes],
    }


def _value(each: Violation) -> str | None:
    """What the row sums to, or the cell holds; nothing where it is not known."""
    unknown = each.invariant.startswith(AGAIN)
    return None if unknown else short(each.value)
