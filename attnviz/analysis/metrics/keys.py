"""Which keys a head looks at, whoever asks."""

from __future__ import annotations

import math

import numpy as np

from attnviz.analysis.distributions import entropy
from attnviz.analysis.metrics.pattern import (
    FIRST,
    PUNCTUATION,
    SPECIAL,
    Measure,
    MetricContext,
    Pattern,
)
from attnviz.analysis.metrics.registry import METRICS, SHARE, Bins
from attnviz.language import to_say
from attnviz.nn.types import Array


@METRICS.add(range=SHARE, heading=to_say("first token"), priority=6)
def first_token(pattern: Pattern) -> Measure:
    """The weight on the first token; mean over all queries that see it.

    From 0 to 1. An even spread under a causal mask has (1/n) Σ_t 1/t: 0.29 for 10 tokens, 0.07
    for 64, so every head looks like a sink on short input.
    Source: Gu et al. 2024, α_1, who take 64 tokens and call 0.3 a sink.
    """
    return pattern.mass(FIRST, forced=True)


def mean_row(pattern: Pattern) -> Measure:
    """The mean of the rows of all queries that see a key, [..., n_head, n_k]."""
    return Measure(pattern.columns, pattern.context.queries.sum(-1))


def sink_position(columns: Array, context: MetricContext) -> Array:
    """The key that `sink_share` is about: [..., n_head]."""
    return np.asarray(columns.argmax(-1))


@METRICS.add(range=SHARE, positions={"sink_place": sink_position}, of=mean_row)
def sink_share(columns: Array) -> Array:
    """The largest share of all weights that one key gets: max_j of the mean row.

    From 1/n_k to 1. It equals first_token where the first token is the sink.
    Source: Gu et al. 2024, with the mean over all queries for every key.
    """
    return np.asarray(columns.max(-1))


@METRICS.add(unit="nats", range=(-math.inf, 0), bins=lambda n: Bins(-math.log(n), 0.0), of=mean_row)
def verticality(columns: Array) -> Array:
    """Minus the entropy of the mean row: whether all queries look at the same few keys.

    From -ln n_k to 0 (all at one key); in nats. Source: Yang, Liu and Lee 2020
    """
    return -entropy(columns)


@METRICS.add(range=SHARE, heading=to_say("learned sink"), priority=2)
def learned_sink(pattern: Pattern) -> Measure:
    """What a learned logit outside the keys takes of each row: 1 - Σ_j w_ij, mean over the
    queries that see a key.

    From 0 to 1. Not defined where the heads have no such sink. Source: OpenAI 2025 (gpt-oss).
    """
    context = pattern.context
    if not context.partial:
        return pattern.undefined()
    return pattern.over_rows(np.maximum(0, 1 - pattern.totals), context.queries)


@METRICS.add(range=SHARE, heading=to_say("special tokens"), priority=7)
def special_tokens(pattern: Pattern) -> Measure:
    """The weight on all tokens that the tokenizer added ([CLS], [SEP], …) together; mean over the
    queries that have a choice.

    From 0 to 1. Not defined where there are none, or where it is unknown which they are.
    Source: Clark et al. 2019
    """
    return pattern.mass(SPECIAL)


@METRICS.add(range=SHARE, heading=to_say("punctuation"), priority=11)
def punctuation(pattern: Pattern) -> Measure:
    """The weight on all punctuation marks together; mean over the queries that have a choice.

    From 0 to 1. Not defined where there are none. Source: Clark et al. 2019, who
    take full stops and commas.
    """
    return pattern.mass(PUNCTUATION)
