"""Whether two traces agree, and if not, every reason in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attnviz.analysis.difference import Cell, Difference, HeadDifference
from attnviz.language import SOURCE, say, speaking
from attnviz.trace.record import Trace
from attnviz.trace.selection import Head

LISTED = 4


def disagreements(a: Trace, b: Trace, difference: Difference, limit: float) -> list[str]:
    """Empty if every head and token has its counterpart, the masks are the same, nothing is NaN
    and no number differs by more than `limit`. The worst cell comes last. In English, as programs
    read it."""
    with speaking(SOURCE):
        return _disagreements(a, b, difference, limit)


def _disagreements(a: Trace, b: Trace, difference: Difference, limit: float) -> list[str]:
    reasons = lacking(difference) + tokens_lacking(difference)
    if masked := hidden_once(difference):
        reasons.append(masked)
    reasons += broken(a, b, difference)
    above = [head for head in difference.heads if head.largest > limit]
    worst = max(above, key=lambda head: head.largest, default=None)
    if worst is not None and worst.at is not None:
        reasons.append(
            f"{worst.pair.name}: {worst.largest:.3g} apart {cell_text(a, b, worst, worst.at)}; "
            f"{len(above)} of {counted(len(difference.heads), 'head')} above {limit:g}"
        )
    return reasons


def lacking(difference: Difference) -> list[str]:
    """The heads that one side has and the other has not."""
    sides = (("A", difference.pairing.only_a), ("B", difference.pairing.only_b))
    return [say("only {side} has {heads}", side=side, heads=listed(heads))
            for side, heads in sides if heads]  # fmt: skip


def tokens_lacking(difference: Difference) -> list[str]:
    """How many tokens of each side have no counterpart."""
    return [
        f"{streams_text(names)}: {x.n_a - len(x.a)} of A's {x.n_a} and "
        f"{x.n_b - len(x.b)} of B's {x.n_b} tokens have no counterpart"
        for names, x in difference.alignments.items()
        if not x.whole
    ]


def streams_text(names: tuple[str, str]) -> str:
    """`source`, or `source / queries` where the sides call them differently."""
    return " / ".join(dict.fromkeys(names))


def hidden_once(difference: Difference) -> str:
    """How many cells a mask hides on one side only; empty if there are none."""
    heads = [head for head in difference.heads if head.hidden_once]
    if not heads:
        return ""
    n_cell = counted(sum(head.hidden_once for head in heads), "cell")
    return say("masks: {cells} of {heads} hidden on one side only", cells=n_cell,
               heads=counted(len(heads), "head"))  # fmt: skip


def broken(a: Trace, b: Trace, difference: Difference) -> list[str]:
    """Where there is NaN, a sentence a head."""
    return [
        say("{head}: NaN in {cells}, the first {where}", head=head.pair.name,
            cells=counted(head.n_broken, "cell"), where=cell_text(a, b, head, head.broken))
        for head in difference.heads
        if head.broken
    ]  # fmt: skip


def cell_text(a: Trace, b: Trace, head: HeadDifference, cell: Cell) -> str:
    """`at query 3 saw, key 1 I: 0.25 in A, 0.5 in B`."""
    query, key = cell_names(a, b, head, cell)
    left, right = apart(cell.a, cell.b)
    return say("at query {query}, key {key}: {a} in A, {b} in B", query=query, key=key, a=left,
               b=right)  # fmt: skip


def apart(a: float, b: float) -> tuple[str, str]:
    """Two numbers with as many digits, four at least, as it takes to see a difference."""
    texts = [(f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in (4, 6, 9, 12, 17)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])


def cell_names(a: Trace, b: Trace, head: HeadDifference, cell: Cell) -> tuple[str, str]:
    """The query and the key, each with its place: `3 saw`, or `3/4 saw` if B has it elsewhere."""
    record = a[head.pair.a.id]
    labels = a.streams[record.queries].labels, a.streams[record.keys].labels
    positions = cell.query, cell.key
    query, key = (
        f"{place_text(*position)} {names[position[0]]}"
        for position, names in zip(positions, labels, strict=True)
    )
    return query, key


def place_text(a: int, b: int) -> str:
    return str(a) if a == b else f"{a}/{b}"


def listed(heads: Sequence[Head]) -> str:
    rest = len(heads) - LISTED
    more = " " + say("and {n} more", n=rest) if rest > 0 else ""
    return ", ".join(map(str, heads[:LISTED])) + more


def counted(count: int, what: Literal["cell", "head"]) -> str:
    """`1 cell`, `4 heads`."""
    if what == "cell":
        return say("1 cell") if count == 1 else say("{n} cells", n=count)
    return say("1 head") if count == 1 else say("{n} heads", n=count)
