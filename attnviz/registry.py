"""Entries by name: a function or a module, and what it knows of itself.

Also the small language `name:key=value,key=value` that selects an entry and its options.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import Any, Generic, TypeVar, overload

from attnviz.errors import AttnvizError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
N = TypeVar("N", int, float)


LISTED = 40
LONGEST_QUOTE = 100
OPTIONAL = " | None"


def nearest(name: str, known: Iterable[str], others: Iterable[str] = ()) -> str:
    """The hint for an unknown name: the known one that it looks like a slip of the finger for, if
    there is one, and all of them, or the first of very many. `others` may be meant, but are not
    listed."""
    known = list(known)
    guess = slip(name, [*known, *others])
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"{f'did you mean `{guess}`? ' if guess else ''}known: {', '.join(known[:LISTED])}{more}"


def slip(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody meant whose finger slipped: one letter is wrong (not of three),
    missing, too many, or changed places with the next, in a long name two; case and `-` or `_` do
    not count."""
    plain = _plain(name)
    allowed = 0 if len(plain) < 3 else 1 if len(plain) < 7 else 2
    best, distance = None, allowed + 1
    for each in known:
        found = _edits(plain, _plain(each), distance)
        if found < distance:
            best, distance = each, found
    return best


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


def _edits(a: str, b: str, limit: int) -> int:
    """Letters to change, leave out, put in or swap with the next so that `a` becomes `b`; at least
    `limit` if it takes so many.

    Optimal string alignment; only numbers of edits below the limit are followed, so that long
    names cost little.
    """
    if abs(len(a) - len(b)) >= limit:
        return limit
    wrong = 1 if len(a) > 3 else 2
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(b, 1):
            if abs(i - j) >= limit:
                row.append(limit)
                continue
            edits = min(before[j - 1] + wrong * (letter != other), before[j] + 1, row[j - 1] + 1)
            if i > 1 and j > 1 and letter == b[j - 2] and other == a[i - 2]:
                edits = min(edits, last[j - 2] + 1)
            row.append(edits)
        if min(row) >= limit:
            return limit
    return row[-1]


@dataclass(frozen=True, eq=False, repr=False)  # which starts faster
class Entry:
    """A function under its name. Subclasses add what their entries know of themselves; every field
    of theirs has a default, so that a bare `@REGISTRY.add` is enough."""

    name: str
    function: Callable[..., Any]

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return first_sentence(self.function)

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    def takes(self, parameter: str) -> bool:
        """Whether the function has a parameter of this name."""
        return parameter in self.parameters

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


E = TypeVar("E", bound=Entry)


class _Names(Mapping[str, T], Generic[T]):
    """A mapping whose unknown names are an error with a suggestion."""

    def __init__(self, what: str) -> None:
        self.what = what

    def unknown(self, name: object) -> AttnvizError:
        return AttnvizError(f"unknown {self.what}: {name!r}", nearest(str(name), self))


class Registry(_Names[E]):
    """Functions by name, in the order in which they were added.

    SCORES: Registry[ScoreEntry] = Registry("score", ScoreEntry)

    @SCORES.add(formula="q · k")
    def dot(q, k): ...

    SCORES["dot"].formula
    """

    def __init__(self, what: str, kind: type[E]) -> None:
        super().__init__(what)
        self.kind = kind
        self._entries: dict[str, E] = {}

    @overload
    def add(self, function: F, /) -> F: ...

    @overload
    def add(self, /, **fields: Any) -> Callable[[F], F]: ...

    def add(self, function: F | None = None, /, **fields: Any) -> F | Callable[[F], F]:
        """Register a function under its own name; a decorator, bare or with the entry's fields."""

        def register(function: F) -> F:
            entry = self.kind(**{"name": function.__name__, "function": function, **fields})
            self._entries[entry.name] = entry
            return function

        return register if function is None else register(function)

    def __getitem__(self, name: str) -> E:
        if name not in self._entries:
            raise self.unknown(name)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def options(self, name: str, texts: Mapping[str, str]) -> dict[str, Any]:
        """`texts` as values of the types of the function's keyword-only parameters."""
        return read_options(self[name].function, f"{self.what} {name!r}", texts, f"{name}:{{}}=…")


class ModuleRegistry(_Names[ModuleType]):
    """The modules of a package by name: one file an entry, imported when it is asked for.

    LESSONS = ModuleRegistry("lesson", "attnviz.lessons", helpers=("kit",))
    LESSONS["scaling"].TITLE
    """

    def __init__(
        self, what: str, package: str, helpers: Iterable[str] = (), prefix: str = ""
    ) -> None:
        """`helpers` are modules of the package that are not entries, besides those with a `_`;
        with the prefix `.`, the module `csv` has the name `.csv`."""
        super().__init__(what)
        self.package = package
        self.helpers = frozenset(helpers)
        self.prefix = prefix
        self._added: dict[str, ModuleType] = {}

    def add(self, module: ModuleType, name: str | None = None) -> ModuleType:
        """Register a module from outside the package, under the last part of its name."""
        self._added[name or self.prefix + module.__name__.rpartition(".")[2]] = module
        return module

    def names(self) -> tuple[str, ...]:
        """All names, without importing anything but the package's parents."""
        return tuple(dict.fromkeys((*self._inside, *self._added)))

    @cached_property
    def _inside(self) -> tuple[str, ...]:
        """The names of the package's own modules."""
        from importlib.util import find_spec
        from pkgutil import iter_modules

        spec = find_spec(self.package)
        folders = spec.submodule_search_locations if spec is not None else None
        names = sorted(module.name for module in iter_modules(folders or ()))
        return tuple(
            self.prefix + n for n in names if not n.startswith("_") and n not in self.helpers
        )

    def __getitem__(self, name: str) -> ModuleType:
        if name in self._added:
            return self._added[name]
        if name not in self._inside:
            raise self.unknown(name)
        from importlib import import_module

        return import_module(f"{self.package}.{name.removeprefix(self.prefix)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()


def first_sentence(thing: object) -> str:
    """The first sentence of a docstring, without its full stop; empty if there is none."""
    paragraph = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).partition(". ")[0].removesuffix(".")


def read_options(
    function: Callable[..., Any], what: str, texts: Mapping[str, str], spelled: str
) -> dict[str, Any]:
    """`texts` as values of the types of a function's keyword-only parameters.

    `what` names the function in errors, `spelled` shows how an option is written.
    """
    parameters = {
        p.name: p
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and _spelled(p.annotation).removesuffix(OPTIONAL) in CONVERT
    }
    for key in texts:
        if key not in parameters:
            allowed = nearest(key, parameters) if parameters else "it takes no options"
            raise AttnvizError(f"{what} has no option {key!r}", allowed)
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in texts:
            raise AttnvizError(f"{what} needs the option {key!r}", f"write {spelled.format(key)}")
    plain = what.replace("'", "")
    return {
        key: convert(text, _spelled(parameters[key].annotation), f"{plain}: {key}")
        for key, text in texts.items()
    }


def _spelled(annotation: object) -> str:
    """An annotation as it is written, also of a module that does not postpone its annotations."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


Size = int
"""An option that is a whole number from 1."""

Count = int
"""An option that is a whole number from 0."""

Position = int
"""An option that is a position, also below 0."""

Positive = float
"""An option that is a number above 0, within what float32 can multiply and square."""

LARGEST_INT = (1 << 63) - 1
LARGEST_SIZE = (1 << 31) - 1
SMALLEST_POSITIVE, LARGEST_POSITIVE = 1e-12, 1e12


def whole_number(text: str, minimum: int | None = None, maximum: int = LARGEST_INT) -> int:
    """A whole number. Raises ValueError, or OverflowError where it is too large."""
    return _within(int(text), minimum, maximum)


def number(text: str, minimum: float | None = None, maximum: float = sys.float_info.max) -> float:
    """A finite number. Raises ValueError, or OverflowError where it is too large."""
    return _within(float(text), minimum, maximum)


def _within(value: N, minimum: N | None, maximum: N) -> N:
    if abs(value) > maximum:
        raise OverflowError
    if not value >= (-maximum if minimum is None else minimum):  # also NaN
        raise ValueError
    return value


def _lengths(text: str) -> tuple[int, ...]:
    return tuple(whole_number(part, 0, LARGEST_SIZE) for part in text.split(","))


def _truth(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words[text.lower()]


CONVERT: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "int": (whole_number, "a whole number", "4"),
    "Size": (partial(whole_number, minimum=1, maximum=LARGEST_SIZE), "a whole number from 1", "4"),
    "Count": (partial(whole_number, minimum=0, maximum=LARGEST_SIZE), "a whole number from 0", "4"),
    "Position": (partial(whole_number, maximum=LARGEST_SIZE), "a whole number", "4"),
    "float": (number, "a number", "0.5"),
    "Positive": (
        partial(number, minimum=SMALLEST_POSITIVE, maximum=LARGEST_POSITIVE),
        f"a number from {SMALLEST_POSITIVE}",
        "0.5",
    ),
    "str": (str, "a word", "rope"),
    "bool": (_truth, "true or false", "true"),
    "tuple[int, ...]": (_lengths, "whole numbers from 0 separated by commas", "3,2"),
}
"""The type of an option, as its annotation spells it -> what reads it, what that expects, an
example. Each may also be `… | None`."""


def convert(text: str, annotation: str, what: str) -> Any:
    """`text` as the type that `annotation` spells."""
    function, expected, example = CONVERT[annotation.removesuffix(OPTIONAL)]
    shown = text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"
    try:
        return function(text)
    except OverflowError:
        message = f"{what}: {shown} is too large"
    except (ValueError, KeyError):
        message = f"{what}: expected {expected}, got {shown!r}"
    raise AttnvizError(message, f"write for example {example}")


def parse_spec(text: str) -> tuple[str, dict[str, str]]:
    """Split `name:key=value,key=value`; a piece without `=` continues the value before it.

    >>> parse_spec("documents:lengths=3,2")
    ('documents', {'lengths': '3,2'})
    """
    name, _, rest = text.strip().partition(":")
    options: dict[str, str] = {}
    last = ""
    for piece in rest.split(",") if rest else []:
        key, equals, value = (part.strip() for part in piece.partition("="))
        if equals:
            last = key
            options[key] = value
        elif last:
            options[last] += "," + piece.strip()
        else:
            raise AttnvizError(
                f"cannot read {text!r}: expected key=value after the colon, got {piece!r}",
                "write for example window:size=3",
            )
    return name.strip(), options
