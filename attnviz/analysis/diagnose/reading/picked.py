"""Some items and heads of a dump that is too large to be looked at whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnviz.analysis.diagnose.reading.axes import Sizes
from attnviz.language import say
from attnviz.nn.types import Array

MAX_NUMBERS = 1 << 26
"""Of q, k, v and the output together."""
MAX_CELLS = 1 << 28
"""Of the scores."""


@dataclass(frozen=True, eq=False)
class Picked:
    """The items of the batch and the key/value heads that are looked at, with all query heads of
    these; of each, all queries and keys."""

    items: Array
    """[n_item]"""
    kv_heads: Array
    """[n_kv_head]"""
    heads: Array
    """[n_head]"""
    sizes: Sizes
    """Of what was picked from."""

    @property
    def is_all(self) -> bool:
        return len(self.items) == self.sizes["b"] and len(self.kv_heads) == self.sizes["g"]

    def of(self, x: Array) -> Array:
        """The part of x [n_batch or 1, n_head or 1, …], or with the key/value heads."""
        if self.is_all:
            return x
        items = np.arange(1) if len(x) == 1 else self.items
        if x.shape[1] == 1:
            return x[items]
        heads = self.kv_heads if x.shape[1] == self.sizes["g"] else self.heads
        return np.asarray(x[np.ix_(items, heads)])

    def of_heads(self, x: Array) -> Array:
        """The part of x [n_head, …]."""
        return x if self.is_all else x[self.heads]

    def reading(self) -> tuple[str, ...]:
        if self.is_all:
            return ()
        return (
            say(
                "too large to be looked at whole: items {items} of {b} and heads {heads} of {h}, "
                "with all their keys",
                items=_listed(self.items), b=self.sizes["b"],
                heads=_listed(self.heads), h=self.sizes["h"],
            ),
        )  # fmt: skip


def picked(sizes: Sizes) -> Picked:
    """As many evenly spaced items and heads as fit, at least one."""
    n_item, n_kv = sizes["b"], sizes["g"]
    while (n_item > 1 or n_kv > 1) and _is_too_much(sizes, n_item, n_kv):
        if n_item >= n_kv:
            n_item = max(1, n_item // 2)
        else:
            n_kv = max(1, n_kv // 2)
    items, kv_heads = _spaced(sizes["b"], n_item), _spaced(sizes["g"], n_kv)
    group = sizes["h"] // sizes["g"]
    heads = (kv_heads[:, None] * group + np.arange(group)).reshape(-1)
    return Picked(items, kv_heads, heads, sizes)


def _is_too_much(sizes: Sizes, n_item: int, n_kv: int) -> bool:
    n_head = n_kv * (sizes["h"] // sizes["g"])
    queries = n_item * n_head * sizes["n"] * (sizes["d"] + sizes["e"])
    keys = n_item * n_kv * sizes["m"] * (sizes["d"] + sizes["e"])
    cells = n_item * n_head * sizes["n"] * sizes["m"]
    return queries + keys > MAX_NUMBERS or cells > MAX_CELLS


def _spaced(n: int, count: int) -> Array:
    """`count` of n numbers from 0, from the first to the last."""
    return np.unique(np.linspace(0, n - 1, count).round().astype(int))


def _listed(numbers: Array) -> str:
    few = numbers[:8]
    return ", ".join(map(str, few)) + (" …" if len(numbers) > len(few) else "")
