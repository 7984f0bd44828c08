"""Places in a text as people name them: positions, or the tokens themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attnviz.errors import AttnvizError
from attnviz.registry import nearest
from attnviz.tokens import Tokens

ARROW = re.compile(r"\s*(?:->|→|=>)\s*")
POSITION = re.compile(r"-?\d+", re.ASCII)
MARKS = "▁Ġ␣#"
"""What tokenizers put before a piece to say where a word begins."""

LONGEST = 18
"""Digits of a position that may exist."""

SHOWN = 8
"""Tokens, or places of one, that are listed."""


def parse_cell(text: str, queries: Tokens, keys: Tokens) -> tuple[int, int]:
    """`3,1`, `saw,a` or `saw -> a` as the positions of a query and a key.

    Raises:
        AttnvizError: there is no such token, or there are several.
    """
    check_cell(text)
    error = None
    for query, key in _halves(text):
        try:
            return (
                parse_place(query, queries, "--cell", "query", f"{{}},{key}"),
                parse_place(key, keys, "--cell", "key", f"{query},{{}}"),
            )
        except AttnvizError as other:
            error = error or other
    raise error or _not_two(text)


def check_cell(text: str) -> None:
    """Raise AttnvizError for what cannot be two tokens of any text."""
    if not any(_halves(text)):
        raise _not_two(text)


def _not_two(text: str) -> AttnvizError:
    return AttnvizError(
        f"--cell: expected QUERY,KEY, got {text!r}", "two positions or tokens: --cell 3,1 or saw,a"
    )


def _halves(text: str) -> Iterator[tuple[str, str]]:
    """The two parts; a token may itself be a comma, so at every comma in turn."""
    if match := ARROW.search(text):
        yield text[: match.start()].strip(), text[match.end() :].strip()
    for comma in re.finditer(",", text):
        query, key = text[: comma.start()].strip(), text[comma.end() :].strip()
        if query and key:
            yield query, key


def parse_place(text: str, tokens: Tokens, option: str, what: str, usage: str = "{}") -> int:
    """A position (-1 is the last), or a token that stands at one place.

    Args:
        what: the kind of token, in errors: query, key, output.
        usage: how the option's value is written, with a position in the place of {}.
    """
    if POSITION.fullmatch(text):
        position = int(text) if len(text) <= LONGEST else len(tokens)
        if -len(tokens) <= position < len(tokens):
            return position % len(tokens)
        raise AttnvizError(
            f"{option}: there is no {what} {text}", f"they count from 0 to {len(tokens) - 1}"
        )
    places = places_of(text, tokens)
    if len(places) == 1:
        return places[0]
    if not places:
        listed = "  ".join(f"{i} {label}" for i, label in enumerate(tokens.labels[:SHOWN]))
        more = "  …" if len(tokens) > SHOWN else ""
        guess = nearest(text, tokens.labels).partition(" known:")[0]
        guess = f"{guess} " if guess.startswith("did") else ""
        raise AttnvizError(f"{option}: there is no {what} {text!r}", f"{guess}{listed}{more}")
    some = [str(place) for place in places[:SHOWN]]
    if len(places) > SHOWN:
        where = f"{', '.join(some)} and {len(places) - SHOWN} more places"
    else:
        where = f"{', '.join(some[:-1])} and {some[-1]}"
    raise AttnvizError(
        f"{option}: the {what} {text!r} is at {where}: which?",
        f"by its position: {option} {usage.format(places[0])}",
    )


def places_of(text: str, tokens: Tokens) -> list[int]:
    """Where a token stands: as it is shown or spelled, else without the tokenizer's mark of a
    word's beginning, else in other capitals."""
    bare = [token.strip().lstrip(MARKS) for token in tokens.tokens]
    for known in (tokens.labels, tokens.tokens, bare):
        places = [i for i, each in enumerate(known) if each == text]
        if places:
            return places
    folded = text.casefold()
    return [i for i, each in enumerate(bare) if each.casefold() == folded]
