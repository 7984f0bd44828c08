"""Which tokens of one text stand for which of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Literal, NamedTuple

import numpy as np

from attnviz.nn.types import Array


class Step(NamedTuple):
    """One step through both texts; a place is None where a text has nothing for it."""

    kind: Literal["same", "replaced", "only_a", "only_b"]
    a: int | None
    b: int | None


class Alignment(NamedTuple):
    """The tokens that two texts share, in order."""

    a: tuple[int, ...]
    """Rising places in the first text."""
    b: tuple[int, ...]
    """Rising places in the second; the i-th stands for the i-th of `a`."""
    n_a: int
    n_b: int

    @property
    def whole(self) -> bool:
        """Whether no token of either text is left out."""
        return len(self.a) == self.n_a == self.n_b

    @property
    def moved(self) -> bool:
        """Whether a shared token has another place in the second text than in the first."""
        return self.a != self.b

    def steps(self) -> Iterator[Step]:
        """Both texts from left to right. Between two shared tokens, what one text has is taken as
        replaced by what the other has, as far as it goes."""
        last_a = last_b = 0
        for i, j in zip((*self.a, self.n_a), (*self.b, self.n_b), strict=True):
            n = min(i - last_a, j - last_b)
            yield from (Step("replaced", last_a + k, last_b + k) for k in range(n))
            yield from (Step("only_a", index, None) for index in range(last_a + n, i))
            yield from (Step("only_b", None, index) for index in range(last_b + n, j))
            if i < self.n_a:
                yield Step("same", i, j)
            last_a, last_b = i + 1, j + 1


def by_place(n_token: int) -> Alignment:
    """Two texts of one length, token by token."""
    indices = tuple(range(n_token))
    return Alignment(indices, indices, n_token, n_token)


def align(a: Sequence[str], b: Sequence[str]) -> Alignment:
    """A longest common subsequence that begins with what both begin with, and of several one that
    leaves most tokens a counterpart to be replaced by; `align(b, a)` is the same, turned round.

    Time and memory grow as n_a · n_b. Source: Wagner & Fischer 1974, with gains for costs.
    """
    if list(a) == list(b):
        return by_place(len(a))
    start = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))
    swapped = list(b) < list(a)
    rests = (b[start:], a[start:]) if swapped else (a[start:], b[start:])
    pairs = [(i, i) for i in range(start)]
    pairs += [(start + i, start + j) for i, j in _shared(*rests)]
    first, second = tuple(i for i, _ in pairs), tuple(j for _, j in pairs)
    return Alignment(*((second, first) if swapped else (first, second)), len(a), len(b))


def _shared(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """The places of the shared tokens, found from the end of the table."""
    codes = {token: code for code, token in enumerate(dict.fromkeys([*a, *b]))}
    x, y = (np.array([codes[token] for token in text], int) for text in (a, b))
    gain = np.int32(min(len(a), len(b)) + 1)  # more than all replacements together
    table = _best_gains(x, y, gain)
    pairs = []
    i, j = len(a), len(b)
    while i and j:
        same = a[i - 1] == b[j - 1]
        if table[i, j] == table[i - 1, j - 1] + (gain if same else 1):
            i, j = i - 1, j - 1
            if same:
                pairs.append((i, j))
        elif table[i, j] == table[i - 1, j]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _best_gains(x: Array, y: Array, gain: np.int32) -> Array:
    """[n_x + 1, n_y + 1]: what the first i of x and the first j of y have in common at best:
    `gain` for each shared token, 1 for each replaced one, nothing for the others."""
    table = np.zeros((len(x) + 1, len(y) + 1), np.int32)
    for i, token in enumerate(x):
        diagonal = table[i, :-1] + np.where(y == token, gain, 1)
        np.maximum.accumulate(np.maximum(table[i, 1:], diagonal), out=table[i + 1, 1:])
    return table
