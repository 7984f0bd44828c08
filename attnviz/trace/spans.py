"""Which rows and keys: `3`, `-1`, `4-9`, `120-`, `last`, `special`, `user`, joined by commas; `^`
leaves out what follows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.site import Site
from attnviz.nn.tile_readers import Block
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

PLACES = re.compile(r"(-?\d{1,15})(?:-(-?\d{1,15})?)?", re.ASCII)
"""`3`, `-1`, `4-9`, `120-`, `-9--1`."""

EXAMPLE = "for example 3, -1, 4-9, 120-, last or ^special"

LAST = "last"


class Span(NamedTuple):
    """Some positions of a text, as they were asked for."""

    option: str
    """`--rows`"""
    text: str
    is_optional: bool = False
    """Whether a text may lack a part that is named."""

    def positions(self, tokens: Tokens) -> Array:
        """Increasing, [n_position].

        Raises:
            AttnvizError: a position or name that this text does not have, or nothing is left.
        """
        kept, *left_out = self.text.replace(" ", "").split("^")
        pieces = [piece for piece in kept.split(",") if piece]
        chosen = np.zeros(len(tokens), bool)
        chosen[:] = not pieces
        for piece in pieces:
            chosen[self._places(piece, tokens)] = True
        for piece in filter(None, ",".join(left_out).split(",")):
            chosen[self._places(piece, tokens)] = False
        if not chosen.any():
            raise AttnvizError(
                f"{self.option} {self.text}: none of the {len(tokens)} tokens is left",
                f"{self.option} {EXAMPLE}",
            )
        return np.flatnonzero(chosen)

    def _places(self, piece: str, tokens: Tokens) -> slice | list[int]:
        match = PLACES.fullmatch(piece)
        if match is None:
            return self._named(piece, tokens)
        n_token = len(tokens)
        first, last = (
            None if text is None else int(text) + (n_token if int(text) < 0 else 0)
            for text in match.groups()
        )
        assert first is not None
        if last is None:
            last = n_token - 1 if piece.endswith("-") else first
        for place, text in ((first, match[1]), (last, match[2])):
            if not 0 <= place < n_token:
                raise AttnvizError(
                    f"{self.option} {self.text}: there is no position {text}, of {n_token} tokens",
                    f"they count from 0 to {n_token - 1}, or back from -1",
                )
        if last < first:
            raise AttnvizError(
                f"{self.option} {self.text}: {piece} ends before it begins",
                f"{self.option} {last}-{first}",
            )
        return slice(first, last + 1)

    def _named(self, name: str, tokens: Tokens) -> list[int]:
        if name == LAST:
            return [len(tokens) - 1]
        spans = tokens.spans
        if name not in spans and self.is_optional:
            return []
        if name not in spans:
            raise AttnvizError(
                f"{self.option} {self.text}: this text has no part {name!r}",
                f"positions from 0 to {len(tokens) - 1}, or {', '.join([LAST, *spans])}",
            )
        return list(spans[name])


def parse_span(text: str, option: str) -> Span:
    """Read the value of `--rows` or `--keys`, before the text is known.

    Raises:
        AttnvizError: it is empty, or no list of positions and names.
    """
    if not isinstance(text, str):
        raise AttnvizError(f"{option}: expected a string, got {text!r}", f"{option} {EXAMPLE}")
    pieces = text.replace(" ", "").replace("^", ",").split(",")
    if (
        "^^" in text
        or not any(pieces)
        or not all(
            not piece or PLACES.fullmatch(piece) or re.fullmatch(r"[A-Za-z_]+", piece)
            for piece in pieces
        )
    ):
        raise AttnvizError(f"{option}: cannot read {text!r}", f"{option} {EXAMPLE}")
    return Span(option, text)


class Zoom(NamedTuple):
    """The rows and keys that are looked at; None: all."""

    rows: Span | None = None
    keys: Span | None = None

    def __bool__(self) -> bool:
        return self.rows is not None or self.keys is not None

    def block(self, queries: Tokens, keys: Tokens) -> Block:
        """The positions in these streams.

        Raises:
            AttnvizError: they do not have these positions.
        """
        return Block(
            np.arange(len(queries)) if self.rows is None else self.rows.positions(queries),
            np.arange(len(keys)) if self.keys is None else self.keys.positions(keys),
        )

    def check(self, sites: Iterable[Site], streams: Mapping[str, Tokens]) -> None:
        """Raise AttnvizError for rows or keys that these attentions do not have."""
        for site in sites:
            self.block(streams[site.queries], streams[site.keys])


HEARD = Zoom(Span("--rows", "^silence", True), Span("--keys", "^silence", True))
"""All but the silence that fills a window behind a sound."""


def span_text(positions: Array) -> str:
    """`0-3, 7`: positions as ranges."""
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    runs = np.split(np.asarray(positions), breaks)
    return ", ".join(
        str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs if len(run)
    )
