"""Which axis is which: patterns of axes, and whether an array can have them.

A pattern has a word an axis, of letters: b batch, h head, g key/value head, n query, m key,
d width of q and k, e width of v, `c` 3 for q, k and v. A word of several letters is an axis in
which they lie side by side, the last one fastest: `b n hd` is [batch, n_q, n_head·d_k].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from attnviz.nn.types import Array

WORDS = {
    "b": "batch",
    "h": "n_head",
    "g": "n_kv_head",
    "n": "n_q",
    "m": "n_k",
    "d": "d_k",
    "e": "d_v",
}

Sizes = Mapping[str, int]
"""Letter -> size."""


class Misfit(Exception):
    """Why an array cannot have the axes that were tried."""


class Placed(NamedTuple):
    """An array under one pattern."""

    pattern: str
    x: Array
    """Its axes in the usual order, 1 where the pattern lacks one."""


def spelled(pattern: str) -> str:
    """`[batch, n_q, n_head·d_k]`."""
    axes = ("·".join(WORDS[letter] for letter in word) for word in pattern.split())
    return f"[{', '.join(axes)}]"


def bound(name: str, shape: Sequence[int], pattern: str, sizes: Sizes) -> dict[str, int]:
    """The sizes with those that an array of this shape adds.

    Raises:
        Misfit: it cannot have these axes.
    """
    words = pattern.split()
    if len(words) != len(shape):
        raise Misfit(f"{name} {list(shape)} has {len(shape)} axes")
    known = dict(sizes)
    for word, size in zip(words, shape, strict=True):
        unknown = [letter for letter in word if letter not in known]
        there = math.prod(known[letter] for letter in word if letter in known)
        if not unknown:
            if size != there:
                of = "·".join(WORDS[letter] for letter in word)
                raise Misfit(f"{of} is {there}, but {size} in {name}")
            continue
        assert len(unknown) == 1, "nothing says how an axis is divided"
        if size % there:
            raise Misfit(
                f"the {size} of {name} are not divided by "
                f"{'·'.join(WORDS[each] for each in word if each not in unknown)} = {there}"
            )
        known[unknown[0]] = size // there
    return known


def arranged(x: Array, pattern: str, sizes: Sizes, order: str) -> Array:
    """x with the axes of a pattern -> those of `order`, 1 where the pattern lacks one. Axes that
    side by side are taken apart; axes of size 1 stay so, which broadcast.

    x [...] -> an axis for each letter of `order`.
    """
    words = pattern.split()
    shape = [
        sizes[letter] if len(word) > 1 else size
        for word, size in zip(words, x.shape, strict=True)
        for letter in word
    ]
    letters = "".join(words)
    x = x.reshape(shape)
    x = x.transpose([letters.index(each) for each in order if each in letters])
    return x[tuple(slice(None) if each in letters else None for each in order)]


def placed(
    x: Array, patterns: Sequence[str], sizes: Sizes, order: str, broadcasts: bool = False
) -> Iterator[Placed]:
    """The array under each pattern that its shape allows, those that give the same once.

    x [...].
    """
    seen = set()
    for pattern in patterns:
        words = pattern.split()
        if len(words) != x.ndim:
            continue
        full = [math.prod(sizes[letter] for letter in word) for word in words]
        if all(
            size == whole or (broadcasts and size == 1 and len(word) == 1)
            for word, size, whole in zip(words, x.shape, full, strict=True)
        ):
            view = arranged(x, pattern, sizes, order)
            steps = zip(view.strides, view.shape, strict=True)
            key = (view.shape, tuple(step for step, size in steps if size > 1))
            if key not in seen:
                seen.add(key)
                yield Placed(pattern, view)
