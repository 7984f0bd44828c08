"""Which layers and heads: `L1`, `L1.H3`, `decoder.0.cross.H2`, `L0-2.H1,H3`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId

RANGE = r"(\d+)(?:-(\d+))?"
LAYERS = rf"(?i)L{RANGE}(?:\.H{RANGE})?"
RECORD = rf"(?i)(\w+)\.{RANGE}\.(self|cross)(?:\.H{RANGE})?"
HEADS = rf"(?i)H{RANGE}"

MAX_NUMBER = 100_000
"""No model has more layers or heads."""

EXAMPLES = "write for example L1, L1.H3, L0-2.H1,H3 or decoder.0.cross.H2"


class Selectable(Protocol):
    """A record, or the site in a model that it will come from."""

    @property
    def id(self) -> RecordId: ...
    @property
    def n_head(self) -> int: ...


class Head(NamedTuple):
    """One head of one attention."""

    id: RecordId
    """Of its record: `encoder.0.self`."""
    number: int

    def __str__(self) -> str:
        """`encoder.0.self.H2`"""
        return f"{self.id}.H{self.number}"

    @property
    def short(self) -> str:
        """`L0.H2`: enough where all heads are of one block and kind."""
        return f"L{self.id.layer}.H{self.number}"


@dataclass(frozen=True)
class Clause:
    """A range of layers, of one block and kind or of any, with all their heads or those named."""

    text: str = field(compare=False)
    """As it was written, with its option: `-s L1`."""
    layers: range | None = None
    block: str | None = None
    kind: str | None = None
    heads: tuple[int, ...] | None = None

    @property
    def names_one(self) -> bool:
        """Whether it is about one layer, and one head of it or all."""
        return (
            self.layers is not None
            and len(self.layers) == 1
            and (self.heads is None or len(self.heads) == 1)
        )

    def covers(self, record: Selectable) -> bool:
        id = record.id
        return (
            (self.layers is None or id.layer in self.layers)
            and self.block in (None, id.block)
            and self.kind in (None, id.kind)
        )


class Selection(NamedTuple):
    """What options like `-s` ask for; without any, everything."""

    clauses: tuple[Clause, ...] = ()

    def covers(self, record: Selectable) -> bool:
        """Whether any head of the record is selected."""
        return not self.clauses or any(clause.covers(record) for clause in self.clauses)

    def heads(self, record: Selectable) -> tuple[int, ...]:
        """The selected heads of the record, in order."""
        if not self.clauses:
            return tuple(range(record.n_head))
        chosen: set[int] = set()
        for clause in self.clauses:
            if clause.covers(record):
                chosen |= set(range(record.n_head) if clause.heads is None else clause.heads)
        return tuple(head for head in range(record.n_head) if head in chosen)

    def within(self, records: Iterable[Selectable]) -> Selection:
        """What it asks for of these records, without the clauses that ask for others."""
        records = list(records)
        return Selection(tuple(c for c in self.clauses if any(map(c.covers, records))))

    def check(self, records: Iterable[Selectable]) -> None:
        """Raise AttnvizError for a clause that selects nothing."""
        records = list(records)
        for clause in self.clauses:
            covered = [record for record in records if clause.covers(record)]
            missing = clause.layers is not None and clause.layers[-1] > max(
                (record.id.layer for record in records), default=-1
            )
            if not covered or missing:
                known = ", ".join(record.id for record in records[:8])
                more = ", …" if len(records) > 8 else ""
                raise AttnvizError(
                    f"{clause.text}: there is no such layer or record",
                    f"there are {known}{more}" if known else "this model has no attention",
                )
            n_head = max(record.n_head for record in covered)
            if clause.heads and max(clause.heads) >= n_head:
                raise AttnvizError(
                    f"{clause.text}: there is no head {max(clause.heads)}",
                    f"the heads count from H0 to H{n_head - 1}",
                )


def heads_of(id: RecordId, heads: Iterable[int]) -> Clause:
    """Some heads of a record."""
    layers = range(id.layer, id.layer + 1)
    return Clause(str(id), layers, id.block, id.kind, tuple(heads))


def parse_selection(texts: Iterable[str], option: str = "-s ") -> Selection:
    """Read the arguments of all `-s` options, or of another `option` as it is written before
    them: `--without `, `--with select=`."""
    clauses: list[Clause] = []
    for text in texts:
        follows = False  # whether a lone H… adds to the clause before it
        for piece in text.replace(" ", "").split(","):
            if match := re.fullmatch(RECORD, piece):
                block, low, high, kind, *heads = match.groups()
                layers, chosen = _range(piece, low, high), _numbers(piece, *heads)
                block, kind = block.lower(), kind.lower()
                clauses.append(Clause(option + piece, layers, block, kind, chosen))
            elif match := re.fullmatch(LAYERS, piece):
                low, high, *heads = match.groups()
                layers, chosen = _range(piece, low, high), _numbers(piece, *heads)
                clauses.append(Clause(option + piece, layers, heads=chosen))
            elif match := re.fullmatch(HEADS, piece):
                more = _numbers(piece, *match.groups())
                if follows and clauses[-1].heads is not None and more is not None:
                    before = clauses.pop()
                    both = (before.heads or ()) + more
                    clauses.append(replace(before, text=f"{before.text},{piece}", heads=both))
                else:
                    clauses.append(Clause(option + piece, heads=more))
            else:
                raise AttnvizError(f"cannot read the selection {piece!r}", EXAMPLES)
            follows = True
    return Selection(tuple(clauses))


def _range(piece: str, first: str, last: str | None) -> range:
    low, high = int(first), int(last if last is not None else first)
    if high < low:
        raise AttnvizError(f"cannot read the selection {piece!r}: {high} is below {low}", EXAMPLES)
    if high > MAX_NUMBER:
        raise AttnvizError(f"cannot read the selection {piece!r}: {high} is too many", EXAMPLES)
    return range(low, high + 1)


def _numbers(piece: str, first: str | None, last: str | None) -> tuple[int, ...] | None:
    return None if first is None else tuple(_range(piece, first, last))
