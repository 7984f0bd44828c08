"""Which keys each query sees, by its reasons: a mistake drops, shifts or swaps one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array, Bool


class Segments(NamedTuple):
    """Texts packed one after another, which do not see each other."""

    queries: Array
    """[n_q]: the number of the text that a query belongs to."""
    keys: Array
    """[n_k]"""


@dataclass(frozen=True, eq=False)
class Masking:
    """The rules that hide keys; a key is visible where all of them agree. By default none does."""

    causal: bool = False
    ahead: int = 0
    """How many keys after its own a causal query sees; -1: not even its own."""
    offset: int | Array = 0
    """The position of the first query among the keys; or one for each item of the batch,
    [n_batch]. n_k - n_q aligns the last query with the last key (lower right), 0 the first with
    the first (upper left)."""
    left: int | None = None
    """How many keys before its own a query sees; None: all."""
    right: int | None = None
    """How many keys after its own a query sees; None: all."""
    keys: Bool | None = None
    """[n_batch, 1, 1, n_k]: False where a key is padding."""
    segments: Segments | None = None
    custom: Bool | None = None
    """What no rule explains; broadcasts to [n_batch, n_head, n_q, n_k], True = visible."""

    @property
    def is_empty(self) -> bool:
        return not (self.causal or self.has_window) and all(
            part is None for part in (self.keys, self.segments, self.custom)
        )

    @property
    def has_window(self) -> bool:
        return self.left is not None or self.right is not None

    def distance(self, rows: Array, n_k: int) -> Array:
        """How far each key lies behind each query, [1 or n_batch, 1, n_row, n_k]."""
        offset = np.asarray(self.offset).reshape(-1, 1, 1, 1)
        return np.asarray(rows[:, None] + offset - np.arange(n_k))

    def visible(self, rows: Array, n_k: int) -> Bool | None:
        """True = visible, for the queries `rows` [n_row]; broadcasts to
        [n_batch, n_head, n_row, n_k]. None where nothing is hidden."""
        if self.is_empty:
            return None
        distance = self.distance(rows, n_k)
        seen = np.ones(distance.shape, bool)
        if self.causal:
            seen &= distance >= -self.ahead
        if self.left is not None:
            seen &= distance <= self.left
        if self.right is not None:
            seen &= distance >= -self.right
        if self.segments is not None:
            seen = seen & (self.segments.queries[rows][:, None] == self.segments.keys)
        if self.keys is not None:
            seen = seen & self.keys
        if self.custom is not None:
            seen = seen & in_rows(self.custom, rows)
        return np.asarray(seen)


def in_rows(x: Array, rows: Array) -> Array:
    """Those rows of an array that broadcasts to [..., n_q, n_k]."""
    return x if x.ndim < 2 or x.shape[-2] == 1 else x[..., rows, :]


def recognised(visible: Bool, n_q: int) -> Masking:
    """The rules of a mask that is given as an array: causal, window, padding of the keys; what
    they do not explain stays as it is. `visible` broadcasts to [n_batch, n_head, n_q, n_k].

    The rules hide exactly what the array hides.
    """
    n_k = visible.shape[-1]
    visible = visible.reshape((1,) * (4 - visible.ndim) + visible.shape)
    if visible.all():
        return Masking()
    found = Masking()
    seen_keys = visible.any((1, 2))  # [n_batch, n_k]
    if not seen_keys.all() and seen_keys.any():
        found = replace(found, keys=np.asarray(seen_keys)[:, None, None, :])
    if visible.shape[-2] == n_q and n_q > 1:
        rule = _band(visible, found.keys)
        found = found if rule is None else replace(rule, keys=found.keys)
    explained = found.visible(np.arange(visible.shape[-2]), n_k)
    if explained is None:
        return Masking(custom=visible)
    if np.asarray(explained == visible).all():
        return found
    if np.asarray(visible & ~explained).any():
        return Masking(custom=visible)
    return replace(found, custom=visible | ~explained)


def _band(visible: Bool, keys: Bool | None) -> Masking | None:
    """The causal rule or the window of a mask [n_batch, n_head, n_q, n_k], if that explains which
    of the keys that are no padding each query sees."""
    n_q, n_k = visible.shape[-2:]
    real = np.ones((1, 1, 1, n_k), bool) if keys is None else keys
    for offset in dict.fromkeys((n_k - n_q, 0)):
        distance = np.arange(n_q)[:, None] + offset - np.arange(n_k)
        seen = np.asarray(visible & real).any((0, 1))
        if not seen.any():
            continue
        low, high = int(distance[seen].min()), int(distance[seen].max())
        rule = Masking(
            causal=low >= -1 and low > int(distance.min()),
            ahead=-low if low in (-1, 0, 1) else 0,
            offset=offset,
            left=high if high < int(distance.max()) else None,
        )
        if not rule.causal and low > int(distance.min()):
            rule = replace(rule, right=-low)
        if rule.is_empty:
            continue
        made = rule.visible(np.arange(n_q), n_k)
        assert made is not None
        if np.asarray((made & real) == visible).all():
            return rule
    return None
