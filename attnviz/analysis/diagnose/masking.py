"""Which keys each query sees, by its reasons: a mistake drops, shifts or swaps one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array, Bool


class Segments(NamedTuple):
    """Texts packed one after another, which do not see each other."""

    queries: Array
    """[n_q] or [n_batch, n_q]: the number of the text that a query belongs to."""
    keys: Array
    """[n_k] or [n_batch, n_k]"""


PARTS = {
    "causal": ("causal", "ahead", "prefix"),
    "window": ("left", "right"),
    "padding": ("keys",),
    "queries": ("queries",),
    "segments": ("segments",),
    "custom": ("custom",),
}
"""Part of a masking -> its fields: what one may have forgotten, or applied wrongly, alone."""

ROWS_LOOKED_AT = 4096
"""Of how many queries each one is looked at when a query is sought that sees nothing."""


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
    prefix: int | Array = 0
    """How many of the first keys every query sees all the same, causal or not; or [n_batch]."""
    left: int | None = None
    """How many keys before its own a query sees; None: all."""
    right: int | None = None
    """How many keys after its own a query sees; None: all."""
    keys: Bool | None = None
    """[n_batch, 1, 1, n_k]: False where a key is padding."""
    queries: Bool | None = None
    """[n_batch, 1, n_q, 1]: False where a query is padding and sees no key."""
    segments: Segments | None = None
    custom: Bool | None = None
    """What no rule explains; broadcasts to [n_batch, n_head, n_q, n_k], True = visible."""
    misread: Callable[[Bool], Bool] | None = None
    """What a mistake makes of all this: visible [n_batch or 1, n_head or 1, n_row, n_k], row by row
    -> the same axes."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Which of `PARTS` hide something."""
        given = {
            "causal": self.causal,
            "window": self.has_window,
            **{part: getattr(self, PARTS[part][0]) is not None for part in list(PARTS)[2:]},
        }
        return tuple(part for part, is_given in given.items() if is_given)

    @property
    def is_empty(self) -> bool:
        return not self.parts

    @property
    def has_window(self) -> bool:
        return self.left is not None or self.right is not None

    def without(self, *parts: str) -> Masking:
        """The same, and some of its parts hide nothing."""
        names = [name for part in parts for name in PARTS[part]]
        return replace(self, **{name: getattr(Masking, name) for name in names})

    def only(self, *parts: str) -> Masking:
        return self.without(*(set(PARTS) - set(parts)))

    def distance(self, rows: Array, n_k: int) -> Array:
        """How far each key lies behind each query, [1 or n_batch, 1, n_row, n_k]."""
        offset = np.asarray(self.offset, np.int32).reshape(-1, 1, 1, 1)
        keys = np.arange(n_k, dtype=np.int32)
        return np.asarray(rows.astype(np.int32)[:, None] + offset - keys)

    def visible(self, rows: Array, n_k: int) -> Bool | None:
        """True = visible, for the queries `rows` [n_row]; broadcasts to
        [n_batch, n_head, n_row, n_k]. None where nothing is hidden."""
        if self.is_empty:
            return None
        seen = self._in_reach(rows, n_k)
        if self.segments is not None:
            queries, keys = self.segments
            seen = seen & (_by_item(queries)[..., rows, None] == _by_item(keys)[..., None, :])
        if self.keys is not None:
            seen = seen & self.keys
        for part in (self.queries, self.custom):
            if part is not None:
                seen = seen & in_rows(part, rows)
        return np.asarray(seen if self.misread is None else self.misread(seen))

    def _in_reach(self, rows: Array, n_k: int) -> Bool:
        """What the causal rule and the window show, [1 or n_batch, 1, n_row, n_k]."""
        if not (self.causal or self.has_window):
            return np.ones((1, 1, len(rows), n_k), bool)
        distance = self.distance(rows, n_k)
        seen = np.ones(distance.shape, bool)
        if self.causal:
            seen &= distance >= -self.ahead
            if np.any(self.prefix):
                seen = seen | (np.arange(n_k) < np.reshape(self.prefix, (-1, 1, 1, 1)))
        if self.left is not None:
            seen &= distance <= self.left
        if self.right is not None:
            seen &= distance >= -self.right
        return np.asarray(seen)

    def leaves_rows_empty(self, n_q: int, n_k: int) -> bool:
        """Whether some query sees no key at all; of very many queries, some are looked at."""
        rows = np.arange(n_q)
        if n_q > ROWS_LOOKED_AT:
            between = np.linspace(0, n_q - 1, ROWS_LOOKED_AT // 16).astype(int)
            rows = np.unique([*rows[:64], *between, *rows[-64:]])
        for some in np.array_split(rows, -(-len(rows) // 256)):
            seen = self.visible(some, n_k)
            if seen is not None and not seen.any(-1).all():
                return True
        return False


def _any(x: Bool, axis: int | tuple[int, ...]) -> Bool:
    return np.asarray(x.any(axis))


def _by_item(x: Array) -> Array:
    """[n] or [n_batch, n] -> [n] or [n_batch, 1, n]."""
    return np.asarray(x if x.ndim == 1 else x[:, None, :])


def in_rows(x: Array, rows: Array) -> Array:
    """Those rows of an array that broadcasts to [..., n_q, n_k]."""
    return x if x.ndim < 2 or x.shape[-2] == 1 else x[..., rows, :]


def recognised(visible: Bool, n_q: int) -> Masking:
    """The rules of a mask that is given as an array: causal, window, prefix, padding of the keys
    and of the queries, packed texts; what they do not explain stays as it is. `visible` broadcasts
    to [n_batch, n_head, n_q, n_k].

    The rules hide exactly what the array hides; of several that do, the simplest.
    """
    visible = visible.reshape((1,) * (4 - visible.ndim) + visible.shape)
    if visible.all():
        return Masking()
    if not visible.any():
        return Masking(custom=visible)
    if visible.shape[-2] != n_q or n_q == 1:
        return _whole(_with_padding(visible, Masking()), visible)
    rough = None
    for rule in _rules(visible):
        found = _with_padding(visible, rule)
        shown = _shown(found, visible)
        if np.array_equal(shown, visible):
            return found
        plain = rule.parts == ("causal",) and rule.ahead in (0, -1)
        if rough is None and plain and not (visible & ~shown).any():
            rough = found
    return _whole(rough or _with_padding(visible, Masking()), visible)


def _shown(masking: Masking, visible: Bool) -> Bool:
    """What a masking shows, with the axes of a mask that was given; at least its size."""
    n_q, n_k = visible.shape[-2:]
    shown = masking.visible(np.arange(n_q), n_k)
    return np.asarray(np.broadcast_to(True if shown is None else shown, visible.shape))


def _whole(found: Masking, visible: Bool) -> Masking:
    """With what the rules do not explain."""
    shown = _shown(found, visible)
    if np.array_equal(shown, visible):
        return found
    if np.any(visible & ~shown):
        return Masking(custom=visible)
    return replace(found, custom=visible | ~shown)


def _with_padding(visible: Bool, rule: Masking) -> Masking:
    """A rule, and as padding those keys that no query sees although the rule shows them to some,
    and then those queries that see nothing although the rule shows them something."""
    shown = _shown(rule, visible)
    sees = _any(visible, (1, 3))[:, None, :, None]  # [n_batch, 1, n_q, 1]
    keys = _any(visible, (1, 2)) | ~_any(shown, (1, 2))
    found = rule
    if not keys.all():
        found = replace(found, keys=np.asarray(keys)[:, None, None, :])
    queries = sees | ~_any(_shown(found, visible), (1, 3))[:, None, :, None]
    return found if queries.all() else replace(found, queries=np.asarray(queries))


def _rules(visible: Bool) -> Iterator[Masking]:
    """Causal rules and windows that may be those of a mask [n_batch, n_head, n_q, n_k], the
    simplest first."""
    yield Masking()
    corners = [Masking(offset=offset) for offset in dict.fromkeys(_aligned(visible))]
    aligned, elsewhere = _causal(visible)
    for rule in aligned:
        yield from (rule, *_windows(visible, rule))
    for rule in corners:
        yield from (each for each in _windows(visible, rule) if each.left is not None)
    for rule in elsewhere:
        yield from (rule, *_windows(visible, rule))
    for rule in corners:
        yield from _windows(visible, rule)
        yield from _prefixes(visible, replace(rule, causal=True))
    plain = (Masking(), *aligned)
    narrow = (each for rule in reversed(plain) for each in _windows(visible, rule))
    for rule in (*plain, *narrow):
        yield from _packed(visible, rule)


def _aligned(visible: Bool) -> tuple[int, int]:
    n_q, n_k = visible.shape[-2:]
    return n_k - n_q, 0


def _causal(visible: Bool) -> tuple[list[Masking], list[Masking]]:
    """The causal rules that show what is visible: with the queries at a corner, perhaps one key
    off; and with the queries elsewhere, or in another place in each item of the batch."""
    n_q, n_k = visible.shape[-2:]
    distance = Masking().distance(np.arange(n_q), n_k)[0]
    by_item = _any(visible, 1)  # [n_batch, n_q, n_k]
    nearest = np.where(by_item, distance, n_q).min((1, 2))
    some = _any(by_item, (1, 2))
    seen = nearest[some]
    if (seen == distance.min()).any():
        return [], []
    first = -int(seen.min())
    corners = dict.fromkeys(_aligned(visible))
    aligned = [
        Masking(causal=True, offset=offset, ahead=first - offset)
        for offset in corners
        if abs(first - offset) <= 1
    ]
    aligned.sort(key=lambda rule: abs(rule.ahead))
    elsewhere = [] if aligned else [Masking(causal=True, offset=first)]
    if len(set(seen.tolist())) > 1:
        elsewhere.append(Masking(causal=True, offset=np.where(some, -nearest, first)))
    return aligned, elsewhere


def _windows(visible: Bool, rule: Masking) -> Iterator[Masking]:
    """A rule with the narrowest windows that show what is visible."""
    n_q, n_k = visible.shape[-2:]
    distance = np.broadcast_to(rule.distance(np.arange(n_q), n_k)[:, 0], visible[:, 0].shape)
    seen = distance[_any(visible, 1)]
    left = int(seen.max()) if seen.max() < distance.max() else None
    right = -int(seen.min()) if seen.min() > distance.min() else None
    if left is not None and left >= 0:
        yield replace(rule, left=left)
    if not rule.causal and right is not None and right >= 0:
        if left is not None and left >= 0:
            yield replace(rule, left=left, right=right)
        yield replace(rule, right=right)


def _prefixes(visible: Bool, rule: Masking) -> Iterator[Masking]:
    """A causal rule with keys at the start that all queries see."""
    n_q, n_k = visible.shape[-2:]
    later = _any(visible, 1) & (rule.distance(np.arange(n_q), n_k)[:, 0] < 0)
    prefix = np.where(_any(later, 1), np.arange(n_k) + 1, 0).max(-1)  # [n_batch]
    if prefix.any() and prefix.max() < n_k:
        same = len(set(prefix.tolist())) == 1
        yield replace(rule, prefix=int(prefix[0]) if same else prefix)


def _packed(visible: Bool, rule: Masking) -> Iterator[Masking]:
    """A rule with texts that do not see each other: a new one begins where a query does not see
    the key before its own, although neither is padding."""
    n_q, n_k = visible.shape[-2:]
    if n_q != n_k or n_k < 2:
        return
    seen = _any(visible, 1)  # [n_batch, n_q, n_k]
    real = _any(seen, 1) & _any(seen, 2)
    before = np.asarray(np.diagonal(seen, -1, 1, 2))
    starts = ~before & real[:, 1:] & real[:, :-1]
    if starts.any():
        texts = np.concatenate((np.zeros_like(starts[:, :1]), starts), 1).cumsum(1)
        texts = texts[0] if (texts == texts[0]).all() else texts
        yield replace(rule, segments=Segments(texts, texts))
