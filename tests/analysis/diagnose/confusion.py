"""Plant every known mistake on the probe's input and write down what is said of it.

    python -m tests.analysis.diagnose.confusion           # writes samples/diagnose/confusion.md
    python -m tests.analysis.diagnose.confusion S1 S2 C3  # prints these lines

A mistake is planted on the smallest input on which it changes anything, in float32, float16 and
bfloat16: inputs rounded to that type, and every operation's result, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose import mistakes
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.diagnosis import Diagnosis, diagnose
from attnviz.analysis.diagnose.noise import rounded_stages, rounding
from attnviz.analysis.diagnose.registry import MISTAKES, MistakeEntry, Variant

from .inputs import INPUTS, as_dumped

assert mistakes.__all__

PAGE = Path(__file__).parents[3] / "samples" / "diagnose" / "confusion.md"

DTYPES = ("float32", "float16", "bfloat16")


class Outcome(NamedTuple):
    """What was said of one planted mistake."""

    word: str
    """`first`, `class`, `pair`, `missed`, `match`: in the order of how well it was found."""
    said: str
    """The id that came first."""
    others: tuple[str, ...]
    """Ids that fit equally."""


class Planted(NamedTuple):
    entry: MistakeEntry
    variant: Variant
    wanted: Computation
    on: str
    """Of `inputs.INPUTS`."""


def planted(entry: MistakeEntry) -> Planted | None:
    """The entry's first way on the first input where it changes the output; where it changes none,
    or is no mistake, on the first input where it can be made."""
    harmless = None
    for words, made in INPUTS.items():
        c = made()
        exact = compute(c).context
        for variant in entry.variants(c):
            found = Planted(entry, variant, c, words)
            harmless = harmless or found
            same = _same(compute(variant.computation).context, exact)
            if not same or entry.detect == "equal":
                return found
    return harmless


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=0, atol=1e-9, equal_nan=True))


def rounded_inputs(x: Any, dtype: str) -> Any:
    """A computation, its facts and masking, with every floating-point array rounded to a type."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.ndim > 1:
        return rounding(dtype)(x.astype(np.float64))
    if isinstance(x, tuple):
        items = [rounded_inputs(each, dtype) for each in x]
        return type(x)(*items) if hasattr(x, "_fields") else tuple(items)
    if is_dataclass(x) and not isinstance(x, type):
        return replace(x, **{f.name: rounded_inputs(getattr(x, f.name), dtype) for f in fields(x)})
    return x


def outcome(each: Planted, dtype: str) -> Outcome:
    """Plant a mistake in a type, and what is said of it."""
    wanted = rounded_inputs(each.wanted, dtype)
    variant = same_way(each, wanted)
    found = diagnose([Case(as_dumped(wanted), given(variant, dtype), dtype, layout="bhnd")])
    return judged(each.entry, found)


def same_way(each: Planted, wanted: Computation) -> Variant:
    ways = list(each.entry.variants(wanted))
    alike = [way for way in ways if way.parameter == each.variant.parameter]
    return (alike or ways)[0]


def given(variant: Variant, dtype: str) -> dict[str, np.ndarray]:
    """What is dumped: the output."""
    context = rounded_stages(variant.computation, dtype).context
    return {"context": np.asarray(context, np.float64)}


def judged(entry: MistakeEntry, found: Diagnosis) -> Outcome:
    """How well the entry was found; of one that is no mistake, whether nobody was blamed."""
    if found.verdict == "match":
        return Outcome("match", "", ())
    if not found.causes or not found.causes[0].explains:
        return Outcome("missed", found.causes[0].id if found.causes else "", ())
    cause = found.causes[0]
    others = tuple(dict.fromkeys("+".join(o.hypothesis.ids) for o in cause.equivalent))
    others = tuple(other for other in others if other != cause.id)
    if cause.id == entry.id:
        return Outcome("first", cause.id, others)
    if entry.id in others:
        return Outcome("class", cause.id, others)
    return Outcome("pair" if entry.id in cause.id.split("+") else "missed", cause.id, others)


def shown(entry: MistakeEntry, result: Outcome) -> str:
    """A cell of the table."""
    if result.word == "match":
        return "as correct" if entry.detect == "equal" else "not told from correct"
    fits = f"; fits too: {', '.join(result.others)}" if result.others else ""
    if result.word == "first":
        return f"first{fits}"
    if result.word == "class":
        rest = [other for other in result.others if other != entry.id]
        return f"in the class of {', '.join((result.said, *rest))}"
    return f"**{result.word}**" + (f": {result.said}{fits}" if result.said else "")


def line(name: str) -> tuple[str, list[Outcome]]:
    """The line of the table for an entry, by its name, and its outcomes."""
    entry = MISTAKES[name]
    each = planted(entry)
    if each is None:
        return f"| {entry.id} | `{entry.name}` | {entry.detect} | cannot be planted | | | |", []
    results = [outcome(each, dtype) for dtype in DTYPES]
    cells = " | ".join(shown(entry, result) for result in results)
    return f"| {entry.id} | `{entry.name}` | {entry.detect} | {each.on} | {cells} |", results


def lines(entries: Sequence[MistakeEntry]) -> Iterator[tuple[str, list[Outcome]]]:
    """A line of the table for each entry, and its outcomes; on all cores."""
    with ProcessPoolExecutor() as pool:
        yield from pool.map(line, [entry.name for entry in entries])


HEAD = """# What is said of each known mistake

Every entry of the catalogue, planted on the probe's input (`attnviz probe`), in three types; only
q, k, v, what is listed and the output are given. Made by
`python -m tests.analysis.diagnose.confusion`.

*first*: named first. *fits too*: others give the same numbers on this input; the report names them
and says what to dump next. *in the class of*: a commoner one with the same numbers is named first.
*as correct*: gives the same numbers as the reference, and nobody is blamed.
"""


def page(entries: Sequence[MistakeEntry]) -> str:
    table = []
    for text, results in lines(entries):
        print(text, file=sys.stderr, flush=True)
        table.append((text, results))
    counts = [
        f"| {dtype} | {count(results, 'first')} | {count(results, 'class')} | "
        f"{count(results, 'pair') + count(results, 'missed')} | {count(results, 'match')} |"
        for dtype, results in zip(
            DTYPES, zip(*(r for _, r in table if r), strict=True), strict=True
        )
    ]
    return "\n".join(
        [
            HEAD,
            "| type | first | in the class | missed | as correct, or not told from it |",
            *("|---|---|---|---|---|", *counts, ""),
            "| id | mistake | can be told | on | " + " | ".join(DTYPES) + " |",
            *("|" + "---|" * (4 + len(DTYPES)), *(text for text, _ in table)),
        ]
    )


def count(results: Sequence[Outcome], word: str) -> int:
    return sum(result.word == word for result in results)


def main() -> None:
    wanted = sys.argv[1:]
    entries = sorted(MISTAKES.values(), key=lambda entry: (entry.family, entry.id, entry.name))
    if wanted:
        for text, _ in lines([entry for entry in entries if {entry.id, entry.name} & {*wanted}]):
            print(text, flush=True)
        return
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(entries) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
