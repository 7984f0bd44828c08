"""Names for functions, and the small language `name:key=value,key=value` that selects them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from attnviz.errors import AttnvizError

F = TypeVar("F", bound=Callable[..., Any])


LISTED = 40


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint for an unknown name: the nearest known one, if any is near, and all of them, or the
    first of very many."""
    from difflib import get_close_matches

    known = list(known)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"did you mean `{close[0]}`? " if close else ""
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"{guess}known: {', '.join(known[:LISTED])}{more}"


class Registry(Mapping[str, F], Generic[F]):
    """Functions by name, in the order in which they were added."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._functions: dict[str, F] = {}

    def add(self, function: F) -> F:
        """Register under the function's own name; use as a decorator."""
        self._functions[function.__name__] = function
        return function

    def __getitem__(self, name: str) -> F:
        try:
            return self._functions[name]
        except KeyError:
            raise AttnvizError(
                f"unknown {self.what}: {name!r}", nearest(name, self._functions)
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def options(self, name: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Convert the texts in `given` to the types of the function's keyword-only parameters."""
        return read_options(self[name], f"{self.what} {name!r}", given, f"{name}:{{}}=…")


def read_options(
    function: Callable[..., Any], what: str, given: Mapping[str, str], spelled: str
) -> dict[str, Any]:
    """The texts in `given` as the types of a function's keyword-only parameters.

    `what` names the function in errors, `spelled` shows how an option is written.
    """
    parameters = {
        p.name: p
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and str(p.annotation) in CONVERT
    }
    for key in given:
        if key not in parameters:
            allowed = nearest(key, parameters) if parameters else "it takes no options"
            raise AttnvizError(f"{what} has no option {key!r}", allowed)
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in given:
            raise AttnvizError(f"{what} needs the option {key!r}", f"write {spelled.format(key)}")
    return {
        key: convert(text, str(parameters[key].annotation), f"{what.replace(chr(39), '')}: {key}")
        for key, text in given.items()
    }


def _lengths(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _truth(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words[text.lower()]


CONVERT: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "int": (int, "a whole number", "4"),
    "int | None": (int, "a whole number", "4"),
    "float": (float, "a number", "0.5"),
    "float | None": (float, "a number", "0.5"),
    "str": (str, "a word", "rope"),
    "str | None": (str, "a word", "rope"),
    "bool": (_truth, "true or false", "true"),
    "tuple[int, ...]": (_lengths, "whole numbers separated by commas", "3,2"),
}


def convert(text: str, annotation: str, what: str) -> Any:
    """`text` as the type that `annotation` spells."""
    function, expected, example = CONVERT[annotation]
    try:
        return function(text)
    except (ValueError, KeyError):
        raise AttnvizError(
            f"{what}: expected {expected}, got {text!r}", f"write for example {example}"
        ) from None


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
