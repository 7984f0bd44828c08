"""The search for the mistakes that explain what was found: one, or two at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.judge import LIMIT, Fit, Judge
from attnviz.analysis.diagnose.noise import rms
from attnviz.analysis.diagnose.registry import MISTAKES, MistakeEntry, Variant
from attnviz.nn.types import Array

APART = 12.0
"""Two explanations are told apart if they differ by so many standard deviations of the noise."""

LEAST = 0.3
"""The noise is at least this part of what it is estimated to be."""


class Hypothesis(NamedTuple):
    """One mistake, or several one after the other, and how it was made."""

    entries: tuple[MistakeEntry, ...]
    variants: tuple[Variant, ...]

    @property
    def computation(self) -> Computation:
        return self.variants[-1].computation

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.entries)

    @property
    def order(self) -> tuple[int, int]:
        """Simple before complicated, common before rare."""
        return len(self.entries), sum(entry.rarity for entry in self.entries)


class Explained(NamedTuple):
    """A hypothesis beside what was found."""

    hypothesis: Hypothesis
    fit: Fit


RARE = 9
"""Mistakes of this rarity are tried only where no other one explains the numbers."""


def single(
    c: Computation, mixing: bool | None = None, *, rare: bool = False
) -> Iterator[Hypothesis]:
    """Every mistake of the registry, in every way; or the rare ones. `mixing`: only those in which
    rows depend on one another, which take long, or only the others."""
    for entry in MISTAKES.values():
        if entry.detect != "equal" and (entry.rarity >= RARE) == rare:
            for variant in entry.variants(c):
                if mixing in (None, variant.computation.mixes_rows):
                    yield Hypothesis((entry,), (variant,))


def searched(c: Computation, **found: Any) -> Iterator[Hypothesis]:
    """The mistakes that may be made with any number, with the one that was `found` in the dump."""
    c = replace(c, facts=replace(c.facts, **found))
    for entry in MISTAKES.values():
        if entry.searched:
            for variant in entry.variants(c):
                yield Hypothesis((entry,), (variant,))


def double(c: Computation, mixing: bool | None = None) -> Iterator[Hypothesis]:
    """Two mistakes of different kinds of which both are often made with another one, each in
    its likeliest ways; `mixing` as for one."""
    pairing = [e for e in MISTAKES.values() if e.pairs and e.detect != "equal"]
    kinds = list(dict.fromkeys(_kind(entry) for entry in pairing))
    for one in pairing:
        rest = kinds[kinds.index(_kind(one)) + 1 :]
        for first in _likeliest(one, c, False if mixing is False else None):
            for other in pairing:
                if _kind(other) in rest:
                    for second in _likeliest(other, first.computation, mixing):
                        yield Hypothesis((one, other), (first, second))


WAYS = 4
"""In which each of two mistakes at once is tried."""


def _likeliest(entry: MistakeEntry, c: Computation, mixing: bool | None) -> list[Variant]:
    ways = islice(entry.variants(c), WAYS)
    return [each for each in ways if mixing in (None, each.computation.mixes_rows)]


def _kind(entry: MistakeEntry) -> str:
    """Its family; alignment and window, of one family, go wrong together, and are two kinds."""
    return "window" if entry.family == "causal" and entry.id.startswith("W") else entry.family


def double_in_other_places(judge: Judge) -> Iterator[Hypothesis]:
    """Two mistakes, of which one only moves the numbers of the output to other places: they are
    moved back, and a few rows then tell what the other one may be. Quick where there are many
    rows."""
    wanted, given = judge.case.wanted, judge.case.given
    if "context" not in given:
        return
    for moved in single(wanted, mixing=True):
        order = _order_of(moved.computation, wanted, given["context"].shape)
        if order is None or not moved.entries[0].pairs:
            continue
        numbers = given["context"].reshape(-1)
        back = np.empty_like(numbers)
        back[order] = numbers
        context = back.reshape(given["context"].shape)
        alone = replace(moved.computation, finish=wanted.finish, mixes_rows=False)
        case = replace(judge.case, wanted=alone, given={**given, "context": context})
        others = (h for h in single(alone, mixing=False) if h.entries[0].pairs)
        for each in Search(Judge(case, judge.rows, judge.dtype)).tried(others):
            if each.fit.holds and _kind(each.hypothesis.entries[0]) != _kind(moved.entries[0]):
                yield from _same_two(wanted, moved, each.hypothesis)


def _order_of(c: Computation, wanted: Computation, shape: tuple[int, ...]) -> Array | None:
    """[n]: which number of the context stands in each place, where it only moves them."""
    if c.finish is wanted.finish or c.q.shape != wanted.q.shape:
        return None
    numbers = np.arange(np.prod(shape))
    order = c.finish(numbers.reshape(shape).astype(np.float64)).reshape(-1)
    if not np.array_equal(np.sort(order), numbers):
        return None
    return order.astype(np.int64)


def _same_two(c: Computation, one: Hypothesis, other: Hypothesis) -> Iterator[Hypothesis]:
    """Two mistakes in the order in which `double` has them, made in the same ways."""
    names = list(MISTAKES)
    first, second = sorted((one, other), key=lambda h: names.index(h.entries[0].name))
    entries = (*first.entries, *second.entries)
    made = [h.variants[0].parameter for h in (first, second)]
    for begun in entries[0].variants(c):
        if begun.parameter == made[0]:
            for ended in entries[1].variants(begun.computation):
                if ended.parameter == made[1]:
                    yield Hypothesis(entries, (begun, ended))


class Search:
    """Hypotheses beside what was found: all in a few queries, those that come near in all of the
    judge's."""

    def __init__(self, judge: Judge, step: Callable[[], None] = lambda: None) -> None:
        self.judge, self.step = judge, step
        few = judge.rows[np.linspace(0, len(judge.rows) - 1, FEW).astype(int)]
        self.quick = judge if len(judge.rows) <= FEW else Judge(judge.case, few, judge.dtype)
        self.n_tried = 0

    def tried(self, hypotheses: Iterable[Hypothesis]) -> list[Explained]:
        """Each hypothesis with how far it is off; the nearest first."""
        found = [Explained(each, self._fit(each.computation)) for each in hypotheses]
        self.n_tried += len(found)
        return sorted(found, key=lambda each: (each.fit.ratio, each.hypothesis.order))

    def _fit(self, c: Computation) -> Fit:
        self.step()
        if not c.mixes_rows and self.quick is not self.judge:
            fit = self.quick.fit(c)
            if fit.ratio > HOPELESS:
                return fit
        return self.judge.fit(c)


FEW = 4
"""Queries in which every hypothesis is tried."""

HOPELESS = 4 * LIMIT
"""A hypothesis that is off by so many times the noise in a few queries is not looked at further."""


def distinct(a: Fit, b: Fit) -> bool:
    """Whether what was found tells two explanations apart, of which `a` fits best.

    Along the direction in which they differ, what is left of `a` would have to be half of the way
    to `b` or more; rounding alone does not go so far if that is many standard deviations.
    """
    if a.broken != b.broken:
        return True
    way = a.off - b.off
    length = float(np.linalg.norm(way))
    sigma = max(rms(a.off), LEAST)
    if length < APART * sigma:
        return False
    return float(a.off @ way) / length**2 < HALF


HALF = 0.35


def _nearer(fit: Fit, reference: Fit) -> bool:
    """Whether an explanation leaves less than the reference does; one whose own noise is large
    would hold of everything."""
    return reference.holds or reference.broken > 0 or rms(fit.off) < NEARER * rms(reference.off)


def _is_rounding(hypothesis: Hypothesis) -> bool:
    """Whether only the precision is another. That comes last: nobody is to blame for how a result
    was rounded where rounding explains the reference, or where something else explains the rest."""
    return all(entry.detect == "rounding" for entry in hypothesis.entries)


NEARER = 0.8

CLEARLY = 0.93
"""Where rounding explains the reference, an explanation is better only if it leaves less than this
part of it: the errors of one weight lie in all dimensions of the output, so that there are fewer of
them than numbers."""


def explanations(judge: Judge, candidates: Sequence[Explained]) -> tuple[list[Explained], bool]:
    """Those that fit and cannot be told from the best one, the simplest first; and whether the
    reference is one of them, so that nothing is wrong."""
    reference = judge.reference
    fitting = [each for each in candidates if each.fit.holds and _nearer(each.fit, reference)]
    plain = [each for each in fitting if not _is_rounding(each.hypothesis)]
    fitting = plain if plain or reference.holds else fitting
    if not fitting:
        return [], reference.holds
    best = min(fitting, key=lambda each: each.fit.ratio)
    if reference.holds and (
        rms(best.fit.off) > CLEARLY * rms(reference.off) or not distinct(best.fit, reference)
    ):
        return [], True
    alike = [each for each in fitting if not distinct(best.fit, each.fit)]
    return sorted(alike, key=lambda each: each.hypothesis.order), False
