"""What is wrong with a dump, if anything: the way from what was found to a cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from attnviz.analysis.diagnose import mistakes  # noqa: F401  (fills the registry)
from attnviz.analysis.diagnose.apart import Suggestion, telling_apart
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.hints import hinted
from attnviz.analysis.diagnose.judge import LIMIT, ROW_LIMIT, Judge, at_least_half
from attnviz.analysis.diagnose.noise import DTYPES, rms
from attnviz.analysis.diagnose.recover import Recovered, recover
from attnviz.analysis.diagnose.registry import filled
from attnviz.analysis.diagnose.rotary_base import searched_base
from attnviz.analysis.diagnose.search import (
    Explained,
    Search,
    double,
    double_in_other_places,
    explanations,
    searched,
    single,
)
from attnviz.analysis.diagnose.survey import Survey, survey
from attnviz.analysis.diagnose.where import where
from attnviz.nn.types import Array

N_ROW = 14
"""Queries with which every hypothesis is tried."""

NEARLY = 0.1
"""An explanation that leaves less than this part of the deviation is worth a word."""

HALFWAY = 0.5
"""One that leaves more than this part of it in some queries does not leave so little in all."""

Step = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Cause:
    """Mistakes that explain what was found, and the others that explain it as well."""

    best: Explained
    equivalent: tuple[Explained, ...]
    """Other mistakes with the same numbers on this dump."""
    explains: bool
    """Whether what is left is rounding; else it is only nearer than the reference."""
    survey: Survey
    """What is left of the whole dump."""
    dtype: str
    """The type whose rounding the rest is compared with."""
    suggestion: Suggestion | None = None
    """What to dump next, where there are others."""

    @property
    def id(self) -> str:
        """`S2`, or `S1+M6` of two mistakes at once."""
        return "+".join(self.best.hypothesis.ids)

    @property
    def parameter(self) -> dict[str, Any]:
        """What tells this way to make the mistake from others."""
        return {k: v for each in self.best.hypothesis.variants for k, v in each.parameter.items()}

    def manifest(self, fixes: Mapping[str, str] | None = None) -> dict[str, Any]:
        """As JSON; `fixes` are what the conventions say instead of the mistakes themselves."""
        hypothesis = self.best.hypothesis
        ids = ["+".join(each.hypothesis.ids) for each in self.equivalent]
        texts: dict[str, list[str]] = {"title": [], "computed": [], "wanted": [], "fix": []}
        for entry, variant in zip(hypothesis.entries, hypothesis.variants, strict=True):
            fix = (fixes or {}).get(entry.name, entry.fix)
            for field, text in zip(
                texts, (entry.title, entry.computed, entry.wanted, fix), strict=True
            ):
                texts[field].append(filled(text, variant.parameter))
        return {
            "id": self.id,
            "ids": list(hypothesis.ids),
            "name": [entry.name for entry in hypothesis.entries],
            "equivalent": [each for each in dict.fromkeys(ids) if each != self.id],
            "parameter": self.parameter,
            "rms": self.survey.rms,
            "max": self.survey.largest,
            "explains": self.explains,
            **texts,
            "threads": [thread for entry in hypothesis.entries for thread in entry.threads],
        }


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What a dump holds beside what it should hold."""

    verdict: Literal["match", "differs"]
    case: Case
    reference: Survey
    """How far the wanted computation is from the dump."""
    causes: tuple[Cause, ...]
    recovered: Recovered | None
    """Only of a dump that differs."""
    judge: Judge
    n_tried: int
    """How many hypotheses were tried."""

    def __repr__(self) -> str:
        causes = ", ".join(cause.id for cause in self.causes)
        return f"<Diagnosis: {self.verdict}{f', {causes}' if causes else ''}>"

    def text(self, width: int = 80) -> str:
        """What a terminal of so many columns shows, without colours."""
        from attnviz import display

        return display.text(self, width=width)

    def manifest(self) -> dict[str, Any]:
        """As JSON."""
        found = self.recovered
        return {
            "verdict": self.verdict,
            "rms": self.reference.rms,
            "max": self.reference.largest,
            "noise": self.reference.noise_rms,
            "dtype": self.case.dtype,
            "layout": self.case.layout,
            "reading": list(self.case.reading),
            "stage": self.reference.stage,
            "stages": dict(self.reference.ratios),
            "where": where(self.reference).manifest(),
            "causes": [cause.manifest(self.case.fixes) for cause in self.causes],
            "recovered": {} if found is None else found.manifest(),
            "tried": self.n_tried,
        }


@np.errstate(all="ignore")  # NaN and infinity are part of what is looked at
def diagnose(cases: Sequence[Case], step: Step = lambda: None) -> Diagnosis:
    """The verdict on a dump, under the reading of `cases` (likeliest first) that explains it."""
    case = _chosen([_exact(case) for case in cases], step)
    first = Judge(case, _evenly(case.wanted.n_q, N_NOISE), case.dtype)
    reference = survey(first, case.wanted)
    judge = Judge(case, _rows(reference), case.dtype)
    if case.dtype in EXACT and _holds(reference):
        return Diagnosis("match", case, reference, (), None, judge, 0)
    search = Search(judge, step)
    mixing = None if case.wanted.q.size * case.wanted.n_k <= SMALL else False
    wanted = hinted(judge)
    found = search.tried(single(wanted, mixing))
    alike, matches = explanations(judge, found)
    if matches and _holds(reference):
        return Diagnosis("match", case, reference, (), None, judge, search.n_tried)
    recovered = recover(case, judge)
    fitting = judge, alike
    if not alike and wanted.facts.dropped is None:
        attempts = _attempts(search, wanted, found, recovered, mixing)
        fitting = next((each for each in attempts if each[1]), (judge, []))
    causes = tuple(_causes(case, *fitting) or _nearest(case, judge, found))
    return Diagnosis("differs", case, reference, causes, recovered, judge, search.n_tried)


def _attempts(
    search: Search,
    c: Computation,
    found: list[Explained],
    recovered: Recovered,
    mixing: bool | None,
) -> Iterator[tuple[Judge, list[Explained]]]:
    """What fits, with the judge that says so: of what is less likely, or takes longer. `found`
    grows by what was tried."""
    judge = search.judge
    more = search.tried(single(c, mixing, rare=True))
    if mixing is False:
        more += search.tried(single(c, mixing=True))
    found += more
    yield judge, explanations(judge, more)[0]
    if recovered.scale is not None:
        scale = recovered.scale, recovered.scale_name
        yield judge, explanations(judge, search.tried(searched(c, scale=scale)))[0]
    base = searched_base(judge)
    if base is not None:
        yield judge, explanations(judge, search.tried(searched(c, base=base)))[0]
    pairs = search.tried(double(c, mixing))
    yield judge, explanations(judge, pairs)[0]
    if mixing is False:
        pairs = search.tried(double_in_other_places(judge))
        yield judge, explanations(judge, pairs)[0]
        if c.q.size * c.n_k <= MEDIUM:
            yield judge, explanations(judge, search.tried(double(c, mixing=True)))[0]
    near = [each for each in found if rms(each.fit.off) < HALFWAY * rms(judge.reference.off)]
    for dtype in _coarser(judge.dtype):
        coarse = Judge(judge.case, judge.rows, dtype)
        again = Search(coarse).tried(each.hypothesis for each in near)
        alike, _ = explanations(coarse, again)
        yield coarse, alike if alike and _is_much_nearer(coarse, alike[0]) else []


SMALL = 1 << 20
"""Products of q and k, up to which hypotheses that need all queries are tried at once."""

MEDIUM = 1 << 24
"""The same, up to which two mistakes are tried of which one needs all queries."""


def _chosen(cases: Sequence[Case], step: Step) -> Case:
    """The first likely reading that the dump agrees with, else the first one under which a single
    mistake explains it, else an unlikely one that it agrees with, else the likeliest one."""
    likely = [case for case in cases if case.rank < UNLIKELY]
    if len(cases) == 1 or not likely:
        return cases[0]
    judges = [Judge(case, _evenly(case.wanted.n_q, 3), case.dtype) for case in cases]
    agreeing = [judge.case for judge in judges if judge.reference.holds]
    if agreeing and agreeing[0].rank < UNLIKELY:
        return agreeing[0]
    doubtful = agreeing[0] if agreeing else None
    judges = judges[: len(likely)]
    for judge in judges[:MAX_READINGS] if len(judges) > 1 or agreeing else ():
        alike, _ = explanations(judge, Search(judge, step).tried(single(judge.case.wanted)))
        if alike and alike[0].hypothesis.entries[0].id != UNWANTED:
            return judge.case
        doubtful = judge.case if alike and doubtful is None else doubtful
    return doubtful or cases[0]


UNWANTED = "M24"
"""A causal mask where none is wanted: where nothing says so, it may well be wanted."""

EXACT = ("float64", "float32")
"""Types in which no mistake is as small as rounding: who agrees within it made none."""

MAX_READINGS = 6
"""Readings under which mistakes are tried."""

UNLIKELY = 5
"""The rank of readings that only a mistake would make."""


def _exact(case: Case) -> Case:
    """With q, k and v in float64, unless they are very large."""
    c = case.wanted
    if max(c.q.size, c.k.size, c.v.size) > LARGE:
        return case
    return replace(case, wanted=c.as_type(np.float64))


LARGE = 1 << 25
N_NOISE = 24
"""Queries of which the noise is computed; it changes slowly between them."""


def _evenly(n: int, most: int) -> Array:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def _rows(reference: Survey) -> Array:
    """The queries that hypotheses are tried with: the worst ones, the ends and some between."""
    rows = reference.rows
    if len(rows) <= N_ROW:
        return rows
    off = reference.squares.mean((0, 1)) / at_least_half(reference.noise) ** 2
    off = off + np.where(reference.broken.any((0, 1)), np.inf, 0)
    worst = np.argsort(-off, kind="stable")[: N_ROW // 3]
    ends = [0, 1, len(rows) - 2, len(rows) - 1]
    between = np.linspace(2, len(rows) - 3, N_ROW - len(ends) - len(worst)).round().astype(int)
    return np.asarray(rows[np.unique([*worst, *ends, *between])])


def _holds(found: Survey, unit: float = 1.0) -> bool:
    """Whether rounding explains what is left of the whole dump, and of every query. `unit`: the
    noise of the computation in that of the reference, as of an output that is 100 times larger."""
    if found.broken.any() or max(found.ratios.values()) > LIMIT * unit:
        return False
    rows = np.sqrt(found.squares.mean((0, 1)))
    return bool((rows <= ROW_LIMIT * unit * at_least_half(found.noise)).all())


def _coarser(dtype: str) -> Iterator[str]:
    """Types that round more, in which a part may have been computed."""
    yield from DTYPES[DTYPES.index(dtype) + 1 :]


N_NEAREST = 6
"""The nearest hypotheses, of which many were tried with few queries, that are tried with all."""


def _is_much_nearer(judge: Judge, explained: Explained) -> bool:
    return rms(explained.fit.off) < NEARLY * rms(judge.reference.off)


def _causes(case: Case, judge: Judge, alike: Sequence[Explained]) -> list[Cause]:
    """The simplest of those that fit equally, with the others beside it."""
    if not alike:
        return []
    best, *others = alike
    left = survey(judge, best.hypothesis.computation)
    suggestion = telling_apart(case.wanted, best.hypothesis, [o.hypothesis for o in others])
    return [Cause(best, tuple(others), _holds(left, best.fit.noise), left, judge.dtype, suggestion)]


def _nearest(case: Case, judge: Judge, found: Sequence[Explained]) -> list[Cause]:
    """The explanation that leaves least, if that is little, as one that does not explain all; or
    dropout, if some of the queries show that it was on, as the others cannot be computed."""
    for each in found:
        entry = each.hypothesis.entries[0]
        if (entry.family, entry.detect) == ("dropout", "weights"):  # it was seen in them
            return _causes(case, judge, [each])
    whole = sorted((e for e in found if e.fit.broken == 0), key=lambda e: rms(e.fit.off))
    again = [e._replace(fit=judge.fit(e.hypothesis.computation)) for e in whole[:N_NEAREST]]
    best = min(again, key=lambda each: rms(each.fit.off), default=None)
    if best is None or not _is_much_nearer(judge, best):
        return []
    return _causes(case, judge, [best])
