"""What odd weights look like, and what usually makes them so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.checks import Finding
from attnviz.analysis.invariants import rounding_of_sums
from attnviz.language import say, to_say
from attnviz.nn.types import Array, Bool
from attnviz.trace.parts import Part

LISTED = 6
"""Parts or heads that a sentence names."""

MOST = 0.5
"""Of the rows that must be off before one cause is named for all."""

DROPPED = (0.01, 0.7)
"""Shares of the visible weights that dropout sets to 0."""

BALANCED = 0.1
"""How far from 1 the mean of the rows' sums is under dropout."""

Found = Iterator[tuple[str, str]]
"""A sentence, to be said, and what it is true of."""


class Sums(NamedTuple):
    """A part, and the sums of its weights along each axis."""

    part: Part
    rows: Array
    """[n_head, n_q]"""
    columns: Array
    """[n_head, n_k]"""
    heads: Array
    """[n_q, n_k]"""
    rounding: float
    """How far it may take any of them from 1."""

    @property
    def name(self) -> str:
        return self.part.record

    @property
    def weights(self) -> Array:
        return self.part.weights

    @property
    def off(self) -> Bool:
        """[n_head, n_q]: which rows sum neither to 1 nor to 0."""
        return np.asarray((np.abs(self.rows - 1) > self.rounding) & (self.rows != 0))

    def are_one(self, sums: Array) -> bool:
        """Whether sums along another axis are 1, or 0 where nothing is seen, and not all 0."""
        return bool(((np.abs(sums - 1) <= self.rounding) | (sums == 0)).all() and sums.any())


def symptoms(parts: Sequence[Part]) -> list[Finding]:
    """What is worth saying about the weights, each sentence once with the parts it is true of."""
    found: dict[str, tuple[str, list[str]]] = {}
    for part in parts:
        sums = _sums(part)
        for symptom in SYMPTOMS:
            for text, where in symptom(sums):
                found.setdefault(text, (text, []))[1].append(where)
    for text, where in (*over_items(parts), *equal_parts(parts)):
        found.setdefault(text, (text, []))[1].append(where)
    return [Finding("note", f"{_listing(where)}: {say(text)}") for text, where in found.values()]


def _sums(part: Part) -> Sums:
    with np.errstate(invalid="ignore", over="ignore"):
        rows, columns, heads = (part.weights.sum(axis, dtype=np.float64) for axis in (-1, -2, 0))
    return Sums(part, rows, columns, heads, rounding_of_sums(part, max(part.weights.shape)))


def other_axis(s: Sums) -> Found:
    """A softmax over another axis than the keys."""
    if s.off.mean() <= MOST:
        return
    if s.are_one(s.columns):
        text = to_say("columns sum to 1, rows do not: softmax over the queries, dim=-2, not -1")
        yield text, s.name
    elif len(s.weights) > 1 and s.are_one(s.heads):
        yield to_say("the weights of all heads sum to 1 in each cell: softmax over heads"), s.name
    elif len(s.weights) > 1 and s.are_one(s.rows.sum(0)):
        text = to_say("the rows of all heads together sum to 1: one softmax over heads and keys")
        yield text, s.name


def constant_sums(s: Sums) -> Found:
    """Rows that all sum to one number, which is not 1."""
    rows = s.rows[s.off]
    if rows.size > 1 and s.off.mean() > MOST and np.isfinite(rows).all():
        mean = float(rows.mean())
        if float(np.ptp(rows)) <= s.rounding * abs(mean):
            yield to_say("these rows all sum to {sum}", sum=f"{mean:.6g}"), s.name


def dropped(s: Sums) -> Found:
    """Zeros among visible weights, and sums that scatter around 1."""
    rows = s.rows[s.off]
    if s.off.mean() <= MOST or rows.size < 4 or not np.isfinite(rows).all():
        return
    visible = _seen(s.part)
    zeros = float((s.weights == 0)[visible].mean()) if visible.any() else 0.0
    balanced = abs(float(s.rows[s.rows != 0].mean()) - 1) < BALANCED
    if DROPPED[0] < zeros < DROPPED[1] and balanced and rows.min() < 1 < rows.max():
        text = to_say(
            "sums scatter around 1 and {share} of the visible weights are 0: dropout left on?",
            share=f"{zeros:.0%}",
        )
        yield text, s.name


def scores_instead(s: Sums) -> Found:
    """Numbers that no softmax gives."""
    with np.errstate(invalid="ignore"):
        if (s.weights < 0).any() and (s.weights > 1).any():
            yield to_say("negative weights and weights above 1: are these scores?"), s.name


def sums_below(s: Sums) -> Found:
    """A share of each row that goes to no key."""
    below = s.off.mean() > MOST and bool((s.rows <= 1 + s.rounding).all())
    if below and not s.part.sinks and not s.are_one(s.columns) and (s.weights >= 0).all():
        yield to_say("rows sum to less than 1: if the heads have sinks, --sinks"), s.name


def empty_rows(s: Sums) -> Found:
    """Queries that see no key: rows of zeros, of NaN, or of weights in spite of the mask."""
    nan = np.isnan(s.weights).all(-1)
    visible = s.part.visible
    if visible is None:
        if nan.any():
            text = to_say("rows of NaN only, as a softmax gives them whose logits are all -inf")
            yield text, s.name
        if n_zero := int((~s.weights.any(-1)).sum()):
            yield to_say("rows of zeros: queries that see no key?"), f"{s.name} ({n_zero})"
        return
    blind = np.broadcast_to(~visible.any(-1), nan.shape)
    if (nan & blind).any():
        text = to_say("the queries that see no key are NaN: a softmax over -inf only")
        yield text, s.name
    filled = blind & (s.weights > 0).any(-1)
    if filled.any():
        text = to_say("queries that see no key have weights: masked with a finite number, not -inf")
        yield text, s.name


def inverted_mask(s: Sums) -> Found:
    """Weights exactly where the mask says that there are none."""
    visible = s.part.visible
    if visible is None or not visible.any() or visible.all():
        return
    seen = np.broadcast_to(visible, s.weights.shape)
    if s.weights[~seen].any() and not s.weights[seen].any():
        text = to_say(
            "all weights lie where the mask hides: is True hidden in it? --true-is hidden"
        )
        yield text, s.name


def faint_leaks(s: Sums) -> Found:
    """Masked cells that hold next to nothing."""
    if s.part.visible is None:
        return
    hidden = ~np.broadcast_to(s.part.visible, s.weights.shape)
    held = s.weights[hidden & (s.weights > 0)]
    if held.size and float(held.max()) <= np.finfo(np.float32).eps / 2:
        text = to_say(
            "masked cells hold up to {largest}, by a finite fill: as good as 0",
            largest=f"{float(held.max()):.1e}",
        )
        yield text, s.name


def uniform_rows(s: Sums) -> Found:
    """Rows that give each visible key the same, of two keys or more."""
    seen = _seen(s.part) & np.isfinite(s.weights).all(-1, keepdims=True)
    many = seen.sum(-1) > 1
    low = s.weights.min(-1, initial=np.inf, where=seen)
    high = s.weights.max(-1, initial=-np.inf, where=seen)
    same = np.asarray(many & (low == high) & (high > 0))
    if n := int(same.sum()):
        where = f"{s.name} ({n}/{int(many.sum())})"
        yield to_say("rows that give every visible key the same weight"), where


def equal_heads(s: Sums) -> Found:
    """Heads whose weights are the same to the bit."""
    if len(s.weights) < 2 or s.weights.shape[-1] < 2 or not s.weights.any():
        return
    groups: dict[bytes, list[int]] = {}
    for head, weights in enumerate(s.weights):
        groups.setdefault(_fingerprint(weights), []).append(head)
    for heads in groups.values():
        if len(heads) > 1:
            names = ", ".join(f"H{head}" for head in heads[:LISTED])
            more = ", …" if len(heads) > LISTED else ""
            yield to_say("heads with the same weights, bit for bit"), f"{s.name} {names}{more}"


SYMPTOMS: tuple[Callable[[Sums], Found], ...] = (
    other_axis, constant_sums, dropped, scores_instead, sums_below, empty_rows, inverted_mask,
    faint_leaks, uniform_rows, equal_heads,
)  # fmt: skip


def over_items(parts: Sequence[Part]) -> Found:
    """A softmax over the items of the batch."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.record.partition("[")[0], []).append(part)
    for name, items in groups.items():
        if len(items) < 2 or len({part.weights.shape for part in items}) > 1:
            continue
        if not any((_sums(part).off.mean() > MOST) for part in items[:1]):
            continue
        total = sum(part.weights.astype(np.float64) for part in items)
        if np.abs(total - 1).max() <= rounding_of_sums(items[0], len(items)):
            yield to_say("all items of the batch together sum to 1: softmax over the batch"), name


def equal_parts(parts: Sequence[Part]) -> Found:
    """Layers, or items of the batch, whose weights are the same to the bit."""
    groups: dict[bytes, list[str]] = {}
    for part in parts:
        if part.weights.shape[-1] > 1 and part.weights.any():
            groups.setdefault(_fingerprint(part.weights), []).append(part.record)
    for names in groups.values():
        if len(names) > 1:
            yield to_say("all their weights are the same, bit for bit"), " = ".join(names[:LISTED])


def _seen(part: Part) -> Bool:
    """[n_head, n_q, n_k]: the visible cells; without a mask those up to the last that any query
    of the same row number gives a weight."""
    if part.visible is not None:
        return np.broadcast_to(part.visible, part.weights.shape)
    given = (part.weights != 0).any(0)  # [n_q, n_k]
    reached = np.flip(np.logical_or.accumulate(np.flip(given, -1), -1), -1)
    return np.broadcast_to(reached, part.weights.shape)


def _fingerprint(x: Array) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(x).data, digest_size=16).digest()


def _listing(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    text = ", ".join(names[:LISTED])
    return say("{items} and {more} more", items=text, more=more) if more > 0 else text
