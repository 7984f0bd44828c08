"""What holds of all attention weights, whatever q, k and v: tests of the weights alone.

How far a number may be off follows from the types: of the weights as they are stored, and of the
sums that a softmax accumulates, which is float32 even for half precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from attnviz.analysis.given import Match
from attnviz.language import to_say
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array, Bool
from attnviz.registry import Entry, Registry
from attnviz.trace.parts import Part

BLOCK_CELLS = 1 << 21
"""Weights that are looked at at a time."""

KEPT = 1000
"""Violations of an invariant that are kept, the largest first."""

DIVIDING = 2
"""Roundings of a weight to its type: that of the exponential and that of the division."""


AGAIN = "recomputed "
"""What the name of a stage follows that was computed again from q, k and v."""


class Block(NamedTuple):
    """Some rows of a part."""

    part: Part
    first: int
    """The number of the first row."""
    weights: Array
    """[n_head, n_row, n_k], float64"""
    visible: Bool | None
    """[n_head, n_row, n_k]"""
    logits: Array | None


class Measured(NamedTuple):
    """How far each row or cell of a block is from what holds."""

    value: Array
    """What it is, [n_head, n_row] or [n_head, n_row, n_k]."""
    off: Array
    """By how much it is off; 0: not at all."""
    allowed: float
    tested: Bool
    """False where it says nothing."""


@dataclass(frozen=True)
class InvariantEntry(Entry):
    """A function `(Block) -> Measured | None`; None where it cannot be tested."""

    title: str = ""
    """To be said."""
    with_sinks: str = ""
    """The same of heads with sinks, if it is less."""
    formula: str = ""
    unit: Literal["rows", "cells"] = "cells"
    untested: str = ""
    """Why it may not be tested: to be said."""
    optional: bool = False
    """Whether it goes without saying where nothing is there to be tested."""


INVARIANTS: Registry[InvariantEntry] = Registry("invariant", InvariantEntry)


@INVARIANTS.add(title=to_say("finite"), formula="|w| < ∞")
def finite(block: Block) -> Measured:
    """No weight is NaN or infinite."""
    good = np.isfinite(block.weights)
    off = np.where(good, 0.0, np.inf)
    return Measured(block.weights, off, 0.0, np.ones(good.shape, bool))


@INVARIANTS.add(title=to_say("not negative"), formula="w ≥ 0")
def not_negative(block: Block) -> Measured:
    """No softmax gives less than 0, in any precision."""
    tested = np.isfinite(block.weights)
    off = np.where(tested, np.maximum(-block.weights, 0), 0)
    return Measured(block.weights, off, 0.0, tested)


@INVARIANTS.add(
    title=to_say("rows sum to 1"),
    with_sinks=to_say("rows sum to 1 at most (sinks)"),
    formula="Σⱼ w = 1",
    unit="rows",
)
def row_sums(block: Block) -> Measured:
    """Every row sums to 1; or to 0, if its query sees no key; or, with a sink, to 1 at most."""
    tested = np.asarray(np.isfinite(block.weights).all(-1))
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.where(tested, block.weights.sum(-1), 0)
    off = np.maximum(sums - 1, 0) if block.part.sinks else np.abs(sums - 1)
    may_be_empty = block.visible is None or ~block.visible.any(-1)
    off = np.where(~block.weights.any(-1) & may_be_empty, 0, off)
    allowed = rounding_of_sums(block.part, block.weights.shape[-1])
    return Measured(sums, np.where(tested, off, 0), allowed, tested)


@INVARIANTS.add(
    title=to_say("nothing past the mask"),
    formula="w = 0",
    untested=to_say("no mask is stated: --mask causal, --mask FILE, or a `mask` in the file"),
)
def masked(block: Block) -> Measured | None:
    """A key that a query does not see has no weight: none that float32 can tell from 0 beside 1."""
    if block.visible is None:
        return None
    tested = ~block.visible & np.isfinite(block.weights)
    off = np.where(tested, np.abs(block.weights), 0)
    return Measured(block.weights, off, _summed(block.part) / 2, tested)


@INVARIANTS.add(
    title=to_say("the softmax of its logits"),
    formula="w = softmax(logits)",
    optional=True,
)
def of_logits(block: Block) -> Measured | None:
    """The weights are the softmax of the logits, where the file has both. With a sink of unknown
    size, the rows are compared as if they summed to 1."""
    if block.logits is None:
        return None
    expected = softmax(block.logits)
    weights = block.weights
    tested = np.broadcast_to(np.isfinite(weights).all(-1, keepdims=True), weights.shape)
    with np.errstate(all="ignore"):
        if block.part.sinks:
            weights = weights / weights.sum(-1, keepdims=True)
        off = np.where(tested, np.abs(np.nan_to_num(weights) - expected), 0)
        largest = np.abs(block.logits).max(initial=1, where=expected > 0)
    return Measured(weights, off, float(block.part.eps * (DIVIDING + largest)), tested)


def rounding_of_sums(part: Part, n_term: int) -> float:
    """How far rounding takes the sum of so many weights from 1."""
    return DIVIDING * part.eps + n_term * _summed(part)


def _summed(part: Part) -> float:
    """The relative precision of the sums of a softmax that gives weights of this type."""
    single = float(np.finfo(np.float32).eps)
    return min(part.eps, single)


class Violation(NamedTuple):
    """A row, or a cell, of which something does not hold."""

    invariant: str
    record: str
    head: int | None
    row: int | None
    column: int | None
    """None: all keys of the row, or its sum."""
    value: float
    off: float
    """By how much: NaN and infinite weights by ∞."""
    allowed: float

    def manifest(self) -> dict[str, Any]:
        """As it stands in a file, where NaN and infinity are null."""
        numbers = {name: getattr(self, name) for name in ("value", "off", "allowed")}
        return {**self._asdict(), **{n: x if np.isfinite(x) else None for n, x in numbers.items()}}


@dataclass
class Tested:
    """What one invariant found in all of a file."""

    name: str
    unit: str
    n_tested: int = 0
    n_off: int = 0
    worst: Violation | None = None
    """The row or cell that is furthest off, be it by rounding; None if nothing was tested."""
    violations: list[Violation] = field(default_factory=list)
    untested: int = 0
    """Of how many parts it could not be tested."""

    @property
    def holds(self) -> bool:
        return not self.n_off

    def manifest(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "tested": self.n_tested,
            "violations": self.n_off,
            "holds": self.holds if self.n_tested else None,
            "worst": None if self.worst is None else self.worst.manifest(),
            "parts_not_tested": self.untested,
        }


def hold(parts: Iterable[Part], matches: Sequence[Match] = ()) -> list[Tested]:
    """Every invariant over all parts, and what was computed again from q, k and v."""
    found = {entry.name: Tested(entry.name, entry.unit) for entry in INVARIANTS.values()}
    for part in parts:
        for block in blocks(part):
            for entry in INVARIANTS.values():
                measured = entry.function(block)
                if measured is not None:
                    _add(found[entry.name], block, measured)
                elif block.first == 0:
                    found[entry.name].untested += 1
    shown = [each for each in found.values() if each.n_tested or not INVARIANTS[each.name].optional]
    return [*shown, *_recomputed(matches)]


def blocks(part: Part) -> Iterator[Block]:
    """A part, a few rows at a time, so that no copy is large."""
    n_head, n_q, n_k = part.weights.shape
    step = max(1, BLOCK_CELLS // (n_head * n_k))
    seen = None if part.visible is None else np.broadcast_to(part.visible, part.weights.shape)
    for first in range(0, n_q, step):
        rows = slice(first, first + step)
        yield Block(
            part,
            first,
            part.weights[:, rows].astype(np.float64),
            None if seen is None else seen[:, rows],
            None if part.logits is None else part.logits[:, rows].astype(np.float64),
        )


def _add(found: Tested, block: Block, measured: Measured) -> None:
    """Count what a block has; keep its worst."""
    n_tested = int(measured.tested.sum())
    if not n_tested:
        return
    found.n_tested += n_tested
    off = measured.off > measured.allowed
    found.n_off += int(off.sum())
    at = np.unravel_index(int(measured.off.argmax()), measured.off.shape)
    worst = _violation(found.name, block, measured, at)
    if found.worst is None or worst.off > found.worst.off:
        found.worst = worst
    if off.any():
        more = sorted(_violations(found.name, block, measured, off), key=lambda v: -v.off)
        found.violations = sorted([*found.violations, *more], key=lambda v: -v.off)[:KEPT]


def _violations(name: str, block: Block, measured: Measured, off: Bool) -> Iterator[Violation]:
    """The worst of a block; a row that is off at all keys counts as one."""
    if off.ndim == 3 and off.shape[-1] > 1:
        whole = np.asarray((off | ~measured.tested).all(-1) & (off.sum(-1) > 1))
        for head, row in np.argwhere(whole)[:KEPT]:
            cell = int(measured.off[head, row].argmax())
            each = _violation(name, block, measured, (head, row, cell))
            yield each._replace(column=None)
        off = off & ~whole[..., None]
    places = np.argwhere(off)
    order = np.argsort(-measured.off[off], kind="stable")[:KEPT]
    for at in places[order]:
        yield _violation(name, block, measured, tuple(at))


def _violation(name: str, block: Block, measured: Measured, at: tuple[Any, ...]) -> Violation:
    head, row, *column = map(int, at)
    return Violation(
        invariant=name,
        record=block.part.record,
        head=head if block.part.by_head else None,
        row=block.first + row,
        column=column[0] if column else None,
        value=float(measured.value[at]),
        off=float(measured.off[at]),
        allowed=measured.allowed,
    )


def _recomputed(matches: Sequence[Match]) -> Iterator[Tested]:
    """The stages that were computed again from q, k and v, a line each."""
    for stage in dict.fromkeys(match.stage for match in matches):
        found = Tested(AGAIN + stage, "cells")
        for match in (each for each in matches if each.stage == stage):
            found.n_tested += int(np.prod(match.shape))
            found.n_off += 0 if match.holds else max(1, match.n_off)
            each = _of_match(found.name, match)
            if found.worst is None or _share(each) > _share(found.worst):
                found.worst = each
            if not match.holds:
                found.violations.append(each)
        yield found


def _of_match(name: str, match: Match) -> Violation:
    none = (None, None, None)
    head, row, column = (*none, *match.at)[-3:]
    off = np.inf if match.largest is None else match.largest
    return Violation(name, match.record, head, row, column, float("nan"), off, match.allowed)


def _share(each: Violation) -> float:
    """Of what rounding allows."""
    return each.off / each.allowed
