"""The lesson that a reader means, who may not know its name."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from types import ModuleType

from attnviz.errors import AttnvizError
from attnviz.language import translated
from attnviz.lessons import LESSONS, reading_order
from attnviz.registry import nearest, slip

COMMON = 0.5
"""A word that stands in a larger share of the lessons tells none of them from the others."""

IN_TITLE = 20
"""How often a word in a text counts as much as one in the title or the question."""


def find(wanted: str) -> list[str]:
    """The lessons that a reader may mean, the best first: the one of this name, the one that is
    also called so, or those that have all of these words, in the reader's language or English.

    Raises:
        AttnvizError: there is none.
    """
    if wanted in LESSONS:
        return [wanted]
    names = _names()
    if _bare(wanted) in names:
        return [names[_bare(wanted)]]
    if found := _search(wanted):
        return found
    raise AttnvizError(f"unknown lesson: {wanted!r}", _hint(wanted))


def _names() -> dict[str, str]:
    """All that a lesson may be called -> its name."""
    also = {_bare(each): name for name in LESSONS for each in _also(name)}
    return also | {_bare(name): name for name in LESSONS}


def _also(name: str) -> tuple[str, ...]:
    return tuple(getattr(LESSONS[name], "ALSO", ()))


def _bare(name: str) -> str:
    """What spellings of a name have in common: `Cross_Attentions`, `cross-attention`; `queries`,
    `query`."""
    joined = "-".join(re.split(r"[-_\s]+", name.strip().casefold()))
    return f"{joined[:-3]}y" if joined.endswith("ies") else joined.removesuffix("s")


def _hint(wanted: str) -> str:
    guess = slip(wanted, (*LESSONS, *(each for name in LESSONS for each in _also(name))))
    return (
        nearest(guess or wanted, LESSONS)
        if guess in LESSONS or guess is None
        else (f"did you mean `{guess}`? {nearest('', LESSONS)}")
    )


def _search(wanted: str) -> list[str]:
    """The lessons with the most of these words; the more often a word stands in one, and the
    earlier, the sooner it comes."""
    texts = {name: list(_texts(LESSONS[name])) for name in reading_order()}
    n_word, points = dict.fromkeys(texts, 0), dict.fromkeys(texts, 0)
    for word in set(wanted.casefold().split()):
        counts = {name: _count(word, parts) for name, parts in texts.items()}
        if sum(map(bool, counts.values())) <= COMMON * len(texts):
            for name, count in counts.items():
                n_word[name] += bool(count)
                points[name] += count
    most = max(n_word.values())
    found = [name for name in texts if most and n_word[name] == most]
    return sorted(found, key=lambda name: -points[name])


def _count(word: str, parts: Sequence[tuple[int, str]]) -> int:
    """How often a word begins in the texts, by their weights."""
    stem = re.escape(word.removesuffix("s") if len(word) > 3 else word)
    pattern = rf"\b{stem}" if word.isascii() else stem
    return sum(weight * len(re.findall(pattern, text)) for weight, text in parts)


def _texts(module: ModuleType) -> Iterator[tuple[int, str]]:
    """What a lesson says, with the weight of each text. It is read from its source: a lesson takes
    long to be given."""
    yield IN_TITLE, " ".join(getattr(module, "ALSO", ()))
    for text in (module.TITLE, getattr(module, "QUESTION", "")):
        yield IN_TITLE, f"{text}\n{translated(text)}".casefold()
    expected = (each.expect for each in getattr(module, "TRY", ()))
    for text in filter(None, (getattr(module, "INTUITION", ""), *expected)):
        yield 1, f"{text}\n{translated(text)}".casefold()
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, SyntaxError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("say" | "to_say"), args=[ast.Constant(str(text)), *_]):
                yield 1, f"{text}\n{translated(text)}".casefold()
