"""Where a head looks, seen from the query."""

from __future__ import annotations

import math

import numpy as np

from attnviz.analysis.metrics.pattern import Measure, Pattern, inner
from attnviz.analysis.metrics.registry import METRICS, SHARE, Bins
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool


@METRICS.add(
    unit="tokens",
    range=(0, math.inf),
    bins=lambda n: Bins(0.01, n, geometric=True),
    heading=to_say("distance (tokens)"),
    priority=2,
)
def mean_distance(pattern: Pattern) -> Measure:
    """Σ_ij w_ij |i - j| / Σ_ij w_ij over all queries: how far away, in tokens.

    From 0 to the number of tokens. An even spread over n tokens has (n² - 1) / 3n, under a causal
    mask (n - 1) / 4. Source: Vig and Belinkov 2019
    """
    offset = pattern.context.offset
    if offset is None:
        return pattern.undefined()
    return matched(pattern, np.abs(offset), pattern.context.cells)


@METRICS.add(range=SHARE, heading=to_say("previous token"), priority=3)
def previous_token(pattern: Pattern) -> Measure:
    """The weight on the token before the query; mean over the queries that see one.

    From 0 to 1. Clark et al. 2019 divide by all queries, which gives less.
    """
    return pattern.mass(_at(pattern, -1))


@METRICS.add(range=SHARE, heading=to_say("next token"), priority=4)
def next_token(pattern: Pattern) -> Measure:
    """The weight on the token after the query; mean over the queries that see one.

    From 0 to 1; not defined under a causal mask. Source: as previous_token.
    """
    return pattern.mass(_at(pattern, 1))


@METRICS.add(range=SHARE, heading=to_say("own token"), priority=5)
def self_token(pattern: Pattern) -> Measure:
    """The weight on the query's own token; mean over the queries that have a choice.

    From 0 to 1. Source: as previous_token.
    """
    return pattern.mass(_at(pattern, 0))


@METRICS.add(range=SHARE)
def diagonality(pattern: Pattern) -> Measure:
    """1 - Σ_j w_ij |i - j| / max_j |i - j|, the largest distance being among the visible keys;
    mean over the queries that have a choice.

    From 0 (always the farthest key) to 1 (always the query's own). Source: Zhang et al. 2021,
    who follow Yang, Liu and Lee 2020; theirs is -Σ_ij w_ij |i - j| / n².
    """
    context = pattern.context
    if context.offset is None:
        return pattern.undefined()
    distance = np.where(context.cells, np.abs(context.offset), 0)
    nearness = 1 - distance / np.maximum(distance.max(-1, keepdims=True), 1)
    return pattern.mean_of(np.where(context.cells, nearness, 0), context.choosing)


def best_offset(pattern: Pattern) -> Array | None:
    """The offset that `positional` is about, -1 for the token before: [..., n_head]."""
    shares = _offset_shares(pattern)
    if shares is None or pattern.context.first is None:
        return None
    n_q = pattern.weights.shape[-2]
    best: Array = shares.argmax(-1) - (n_q - 1) - pattern.context.first
    return best


@METRICS.add(
    range=SHARE, heading=to_say("fixed offset"), priority=12, positions={"best_offset": best_offset}
)
def positional(pattern: Pattern) -> Measure:
    """The share of queries whose largest weight lies at one fixed offset, the best one; a query
    that has no key there counts as a miss, and of k equal largest weights each counts 1/k.

    From 0 to 1. Source: Voita et al. 2019: a head is positional from 0.9.
    """
    shares = _offset_shares(pattern)
    if shares is None:
        return pattern.undefined()
    return Measure(shares.max(-1), pattern.context.choosing.sum(-1))


def matched(pattern: Pattern, template: Array, counted: Bool) -> Measure:
    """Σ_ij w_ij t_ij / Σ_ij w_ij over the cells that are `counted`, [..., n_head or 1, n_q, n_k].

    With a template of zeros and ones it is the score of a pattern: the "mul" measure of
    TransformerLens' detect_head.
    """
    cells = counted & pattern.context.queries[..., None]
    total = inner(pattern.wide, cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = inner(pattern.wide, np.where(cells, template, 0)) / total
    return Measure(share, cells.any(-1).sum(-1))


def _at(pattern: Pattern, offset: int) -> Bool | None:
    offsets = pattern.context.offset
    return None if offsets is None else np.equal(offsets, offset)


def _offset_shares(pattern: Pattern) -> Array | None:
    """The share of queries whose largest weight lies at each offset, [..., n_head, n_q + n_k - 1]:
    from the last query on the first key upwards."""
    rows = pattern.context.choosing
    if pattern.context.first is None or not rows.any():
        return None
    *lead, n_q, n_k = pattern.weights.shape
    largest = pattern.weights.max(-1, keepdims=True)
    row, key = np.divmod(np.flatnonzero(pattern.weights == largest), n_k)
    counted = np.broadcast_to(rows, (*lead, n_q)).reshape(-1)[row]
    row, key = row[counted], key[counted]
    head, query = np.divmod(row, n_q)
    n_offset = n_q + n_k - 1
    slots = head * n_offset + (key - query + n_q - 1)
    one = 1 / np.bincount(row)[row]
    counts = np.bincount(slots, one, minlength=int(np.prod(lead)) * n_offset)
    count = rows.sum(-1)
    shares: Array = counts.reshape(*lead, n_offset) / np.where(count, count, np.nan)[..., None]
    shares[np.isnan(largest).any((-2, -1))] = np.nan
    return shares
