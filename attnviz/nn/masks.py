"""Masks: which key may a query see?

Each is a function of positions, so that an offset (a cache, a window) cannot break it:
q_pos [n_q], k_pos [n_k] -> visible [n_q, n_k], True = visible.
`Mask` puts them together and keeps their names, so that a cell can say why it is masked.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array, Bool
from attnviz.registry import Count, Entry, Registry, Size, parse_spec

Rule = Callable[[Array, Array], Bool]

Reach = Callable[..., tuple[float, float]]
"""The lowest and the highest position of a query, and the rule's options -> the lowest and the
highest position of a key that any query between them may see."""

Places = slice | Array
"""Of some rows or columns: which."""

Hatch = Literal[
    "rising", "falling", "dashed", "upright", "dotted", "crossed", "gridded", "ringed", "starred"
]
"""How masked cells are drawn; every renderer has its own lines for each."""

SPARE_HATCHES: tuple[Hatch, ...] = ("gridded", "ringed", "starred")
"""Of entries that name none, in turn."""


@dataclass(frozen=True, eq=False, repr=False)
class MaskEntry(Entry):
    """A rule, and how the cells that it masks are drawn."""

    hatch: Hatch | None = None
    """None: one that no other mask has, as long as there are any."""
    reach: Reach | None = None
    """Which keys queries may see at all, so that no others need be computed; None: any."""


MASKS: Registry[MaskEntry] = Registry("mask", MaskEntry)


@MASKS.add(hatch="rising", reach=lambda low, high: (-math.inf, high))
def causal(q_pos: Array, k_pos: Array) -> Bool:
    """A query sees the keys at its own position and before it.

    q_pos [n_q], k_pos [n_k] -> [n_q, n_k].
    """
    return k_pos <= q_pos[:, None]


@MASKS.add(hatch="dashed", reach=lambda low, high, size: (low - size + 1, high + size - 1))
def window(q_pos: Array, k_pos: Array, *, size: Size) -> Bool:
    """A query sees the keys less than `size` positions away, itself included.

    q_pos [n_q], k_pos [n_k] -> [n_q, n_k].
    With `causal`, exactly `size` keys: the query's own and the size - 1 before it
    (Mistral's and Hugging Face's `sliding_window`).
    """
    return np.asarray(np.abs(q_pos[:, None] - k_pos) < size)


def _band_reach(
    low: float, high: float, left: float | None = None, right: float | None = None
) -> tuple[float, float]:
    left, right = (math.inf if side is None else side for side in (left, right))
    return low - left, high + right


@MASKS.add(hatch="dashed", reach=_band_reach)
def band(
    q_pos: Array, k_pos: Array, *, left: Count | None = None, right: Count | None = None
) -> Bool:
    """A query sees `left` keys before it, its own, and `right` keys after it; None: all of them.

    q_pos [n_q], k_pos [n_k] -> [n_q, n_k].
    These are the inclusive distances of flash-attention and of ONNX.
    """
    distance = q_pos[:, None] - k_pos
    visible = np.ones(distance.shape, bool)
    if left is not None:
        visible &= distance <= left
    if right is not None:
        visible &= distance >= -right
    return visible


@MASKS.add(hatch="dotted", reach=lambda low, high, length: (-math.inf, max(high, length - 1)))
def prefix(q_pos: Array, k_pos: Array, *, length: Count) -> Bool:
    """Causal, but every query sees the first `length` keys. Source: Raffel et al. 2020, 3.2.1.

    q_pos [n_q], k_pos [n_k] -> [n_q, n_k].
    """
    return (k_pos < length) | causal(q_pos, k_pos)


def _documents_reach(low: float, high: float, lengths: tuple[int, ...]) -> tuple[float, float]:
    """From where the first query's text starts to where the last one's ends."""
    edges = [-math.inf, *np.cumsum(lengths), math.inf]
    first, last = (np.searchsorted(edges, pos, "right") for pos in (low, high))
    return edges[first - 1], edges[last] - 1


@MASKS.add(hatch="upright", reach=_documents_reach)
def documents(q_pos: Array, k_pos: Array, *, lengths: tuple[int, ...]) -> Bool:
    """Texts of these `lengths` packed one after another do not see each other.

    q_pos [n_q], k_pos [n_k] -> [n_q, n_k].
    """
    ends = np.cumsum(lengths)
    return np.asarray(
        np.searchsorted(ends, q_pos, "right")[:, None] == np.searchsorted(ends, k_pos, "right")
    )


@MASKS.add(hatch="falling", reach=lambda low, high, lengths: (-math.inf, max(lengths) - 1))
def padding(q_pos: Array, k_pos: Array, *, lengths: tuple[int, ...]) -> Bool:
    """Keys from the valid length on are padding.

    One length gives [n_q, n_k]; one for each text of a batch [n_batch, 1 head, n_q, n_k].
    """
    if len(lengths) == 1:
        valid = k_pos[None, :] < lengths[0]
    else:
        valid = k_pos < np.asarray(lengths)[:, None, None, None]
    return np.broadcast_to(valid, (*valid.shape[:-2], len(q_pos), len(k_pos)))


def hatch_of(name: str) -> Hatch:
    """How cells are drawn that the rule `name` masks, `window:size=3`; crossed where it is not one
    of MASKS, as a mask from an array."""
    word = name.partition(":")[0]
    if word not in MASKS:
        return "crossed"
    unnamed = [entry.name for entry in MASKS.values() if entry.hatch is None]
    return MASKS[word].hatch or SPARE_HATCHES[unnamed.index(word) % len(SPARE_HATCHES)]


@dataclass(frozen=True)
class Mask:
    """Named rules that all have to agree. `Mask()` masks nothing; masks add up with `+`."""

    rules: tuple[tuple[str, Rule], ...] = ()

    @property
    def name(self) -> str:
        """The names of the rules, `causal+window:size=3`; `none` if there are none."""
        return "+".join(name for name, _ in self.rules) or "none"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.rules)

    def __add__(self, other: Mask) -> Mask:
        return Mask(self.rules + tuple(rule for rule in other.rules if rule not in self.rules))

    def visible(self, q_pos: Array, k_pos: Array) -> Bool | None:
        """What all rules let through, [..., n_q, n_k]; None if there are no rules."""
        if not self.rules:
            return None
        return functools.reduce(np.logical_and, (rule(q_pos, k_pos) for _, rule in self.rules))

    def visible_part(
        self, q_pos: Array, k_pos: Array, queries: Places, keys: Places
    ) -> Bool | None:
        """`visible(q_pos, k_pos)[..., queries, keys]`, of which nothing else is computed."""
        if not self.rules:
            return None
        parts = (_part(rule, q_pos, k_pos, queries, keys) for _, rule in self.rules)
        return functools.reduce(np.logical_and, parts)

    def reach(self, q_pos: Array, k_pos: Array) -> Callable[[slice], slice]:
        """A function that tells for some of the queries between which keys all those lie that any
        of them may see: slices of n_q and n_k."""
        arrays = [rule for _, rule in self.rules if isinstance(rule, ArrayRule)]
        reaches = [reach for _, rule in self.rules if (reach := _reach_of(rule)) is not None]

        def keys_of(queries: slice) -> slice:
            low, high = q_pos[queries].min(), q_pos[queries].max()
            bounds = [reach(low, high) for reach in reaches]
            lowest = max((low for low, _ in bounds), default=-math.inf)
            highest = min((high for _, high in bounds), default=math.inf)
            seen = (k_pos >= lowest) & (k_pos <= highest)
            for rule in arrays:
                seen &= rule.seen_by_any(len(q_pos), len(k_pos), queries)
            keys = np.flatnonzero(seen)
            return slice(int(keys[0]), int(keys[-1]) + 1) if keys.size else slice(0, 0)

        return keys_of

    def reasons(self, q_pos: Array, k_pos: Array) -> Array:
        """Which rule masks a cell: 0 = visible, i = the i-th name counted from 1, [..., n_q, n_k].

        Where several rules mask a cell, the first of them is named.
        """
        return self.reasons_part(q_pos, k_pos, slice(0, len(q_pos)), slice(0, len(k_pos)))

    def reasons_part(self, q_pos: Array, k_pos: Array, queries: Places, keys: Places) -> Array:
        """`reasons(q_pos, k_pos)[..., queries, keys]`, of which nothing else is computed."""
        numbers = np.min_scalar_type(len(self.rules))
        reason = np.zeros((len(q_pos[queries]), len(k_pos[keys])), numbers)
        for number, (_, rule) in enumerate(self.rules, 1):
            masked = ~_part(rule, q_pos, k_pos, queries, keys)
            reason = np.where((reason == 0) & masked, numbers.type(number), reason)
        return reason


NONE = Mask()
CAUSAL = Mask((("causal", causal),))


def padded(lengths: tuple[int, ...]) -> Mask:
    """Padding by valid lengths, one for each text of a batch."""
    return Mask((("padding", functools.partial(padding, lengths=lengths)),))


class ArrayRule:
    """A rule that is an array, and knows its cells by their places: no positions."""

    def __init__(self, visible: Bool) -> None:
        self._visible = visible

    def __call__(self, q_pos: Array, k_pos: Array) -> Bool:
        return self._of(len(q_pos), len(k_pos))

    def part(self, q_pos: Array, k_pos: Array, queries: Places, keys: Places) -> Bool:
        """Some rows and columns, [..., n_row, n_key]; an axis of 1 stays one."""
        visible = self._of(len(q_pos), len(k_pos))
        visible = visible if visible.shape[-2] == 1 else visible[..., queries, :]
        return visible if visible.shape[-1] == 1 else visible[..., keys]

    def seen_by_any(self, n_q: int, n_k: int, queries: slice) -> Bool:
        """[n_k]: which keys some of the queries see, in any head."""
        visible = self._of(n_q, n_k)
        rows = visible if visible.shape[-2] == 1 else visible[..., queries, :]
        return np.broadcast_to(rows.any(tuple(range(rows.ndim - 1))), (n_k,))

    def _of(self, n_q: int, n_k: int) -> Bool:
        visible = self._visible
        visible = visible.reshape((1,) * (2 - visible.ndim) + visible.shape)
        rows, columns = visible.shape[-2:]
        if rows not in (1, n_q) or columns not in (1, n_k):
            raise AttnvizError(
                f"the custom mask has the shape {list(self._visible.shape)}; "
                f"expected n_q = {n_q} rows and n_k = {n_k} columns",
                "a row and a column for each token, special tokens included; an axis of 1 fits any",
            )
        return visible


def custom(visible: Array, name: str = "custom") -> Mask:
    """A mask from a boolean array that broadcasts to [..., n_q, n_k], True = visible."""
    visible = np.asarray(visible)
    if visible.dtype != bool:
        raise AttnvizError(
            f"a mask is boolean with True = visible; got {visible.dtype}",
            "convert it with .astype(bool), or pass numbers to add to the scores as `bias`",
        )
    return Mask(((name, ArrayRule(visible)),))


def _part(rule: Rule, q_pos: Array, k_pos: Array, queries: Places, keys: Places) -> Bool:
    if isinstance(rule, ArrayRule):
        return rule.part(q_pos, k_pos, queries, keys)
    return rule(q_pos[queries], k_pos[keys])


def _reach_of(rule: Rule) -> Callable[[float, float], tuple[float, float]] | None:
    """What the rule's entry knows of its reach, with the options that are bound to the rule."""
    bare: Callable[..., Any] = rule
    options: dict[str, Any] = {}
    if isinstance(rule, functools.partial) and not rule.args:
        bare, options = rule.func, rule.keywords
    entry = next((entry for entry in MASKS.values() if entry.function is bare), None)
    if entry is None or entry.reach is None:
        return None
    return functools.partial(entry.reach, **options)


NEVER = -1e4
"""What is added to a score to hide its key is at most this: float16 goes no further than -65504."""


def as_visible(name: str, values: Array) -> Bool:
    """A mask as people keep it -> True = visible, of the same shape [...].

    Booleans are taken as they are; numbers are 1 = visible, 0 = masked, or what is added to the
    scores: 0 = visible, -inf (or a number as good as it) = masked. Of numbers that are all 0, the
    whole ones hide everything and the others, which are added, nothing.

    Raises:
        AttnvizError: other numbers.
    """
    if values.dtype == bool:
        return values
    if values.dtype.kind in "iuf":
        is_float = values.dtype.kind == "f"
        hidden = values <= NEVER if is_float else np.zeros(values.shape, bool)
        if is_float and (hidden | (values == 0)).all():
            return ~hidden
        if ((values == 0) | (values == 1)).all():
            return np.asarray(values == 1)
    other = values[(values != 0) & (values != 1)] if values.dtype.kind in "iuf" else values
    raise AttnvizError(
        f"{name} is no mask: it holds {values.dtype}, {other.flat[0]!s} for example; expected "
        "booleans, 0 and 1, or 0 and -inf",
        "True or 1 is visible; what else is added to the scores is a bias",
    )


def parse(text: str) -> Mask:
    """A mask from its name: `none`, `causal`, `causal+window:size=3`, `documents:lengths=3,2`."""
    mask = NONE
    for part in text.split("+"):
        name, options = parse_spec(part)
        if name == "none":
            continue
        rule = functools.partial(MASKS[name].function, **MASKS.options(name, options))
        mask += Mask(((part.strip(), rule),))
    return mask
