"""Where a head looks, seen from the query."""

from __future__ import annotations

import math

import numpy as np

from attnviz.analysis.metrics.pattern import Measure, MetricContext, Offset, Pattern
from attnviz.analysis.metrics.registry import METRICS, SHARE, Bins
from attnviz.language import to_say
from attnviz.nn.types import Array


def distances(pattern: Pattern) -> Measure:
    """Σ_j w_ij |i - j| and Σ_j w_ij of a query, [..., n_head, 2]; mean over all queries."""
    if pattern.distances is None:
        return pattern.undefined(2)
    far, rows = pattern.over_rows(pattern.distances, pattern.context.queries)
    total, _ = pattern.over_rows(pattern.totals, pattern.context.queries)
    return Measure(np.stack([far, total], -1), rows)


@METRICS.add(
    unit="tokens",
    range=(0, math.inf),
    bins=lambda n: Bins(0.01, n, geometric=True),
    heading=to_say("distance (tokens)"),
    priority=2,
    of=distances,
)
def mean_distance(far_and_total: Array) -> Array:
    """Σ_ij w_ij |i - j| / Σ_ij w_ij over all queries: how far away, in tokens.

    From 0 to the number of tokens. An even spread over n tokens has (n² - 1) / 3n, under a causal
    mask (n - 1) / 4. Source: Vig and Belinkov 2019
    """
    return np.asarray(far_and_total[..., 0] / far_and_total[..., 1])


@METRICS.add(range=SHARE, heading=to_say("previous token"), priority=3)
def previous_token(pattern: Pattern) -> Measure:
    """The weight on the token before the query; mean over the queries that see one.

    From 0 to 1. Clark et al. 2019 divide by all queries, which gives less.
    """
    return pattern.mass(Offset(-1))


@METRICS.add(range=SHARE, heading=to_say("next token"), priority=4)
def next_token(pattern: Pattern) -> Measure:
    """The weight on the token after the query; mean over the queries that see one.

    From 0 to 1; not defined under a causal mask. Source: as previous_token.
    """
    return pattern.mass(Offset(1))


@METRICS.add(range=SHARE, heading=to_say("own token"), priority=5)
def self_token(pattern: Pattern) -> Measure:
    """The weight on the query's own token; mean over the queries that have a choice.

    From 0 to 1. Source: as previous_token.
    """
    return pattern.mass(Offset(0))


@METRICS.add(range=SHARE)
def diagonality(pattern: Pattern) -> Measure:
    """1 - Σ_j w_ij |i - j| / max_j |i - j|, the largest distance being among the visible keys;
    mean over the queries that have a choice.

    From 0 (always the farthest key) to 1 (always the query's own). Source: Zhang et al. 2021,
    who follow Yang, Liu and Lee 2020; theirs is -Σ_ij w_ij |i - j| / n².
    """
    context = pattern.context
    if pattern.distances is None or context.positions is None:
        return pattern.undefined()
    _, farthest = context.seen.distances(context.positions)
    return pattern.over_rows(pattern.totals - pattern.distances / np.maximum(farthest, 1))


def offset_shares(pattern: Pattern) -> Measure:
    """The share of queries whose largest weight lies at each offset, [..., n_head, n_q + n_k - 1]:
    from the last query on the first key upwards."""
    n_q, n_k = pattern.context.shape
    if pattern.context.first is None:
        return pattern.undefined(n_q + n_k - 1)
    count = pattern.context.choosing.sum(-1)
    return Measure(pattern.offsets / np.maximum(count, 1)[..., None], count)


def best_offset(shares: Array, context: MetricContext) -> Array | None:
    """The offset that `positional` is about, -1 for the token before: [..., n_head]."""
    if context.first is None:
        return None
    best: Array = shares.argmax(-1) - (context.shape[0] - 1) - context.first
    return best


@METRICS.add(
    range=SHARE,
    heading=to_say("fixed offset"),
    priority=12,
    positions={"best_offset": best_offset},
    of=offset_shares,
)
def positional(shares: Array) -> Array:
    """The share of queries whose largest weight lies at one fixed offset, the best one; a query
    that has no key there counts as a miss, and of k equal largest weights each counts 1/k.

    From 0 to 1. Source: Voita et al. 2019: a head is positional from 0.9.
    """
    return np.asarray(shares.max(-1))
