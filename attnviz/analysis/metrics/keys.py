"""Which keys a head looks at, whoever asks."""

from __future__ import annotations

import math

import numpy as np

from attnviz.analysis.distributions import entropy
from attnviz.analysis.metrics.pattern import Measure, Pattern
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
    n_k = pattern.weights.shape[-1]
    return pattern.mass((np.arange(n_k) == 0)[None, None], forced=True)


def sink_position(pattern: Pattern) -> Array:
    """The key that `sink_share` is about: [..., n_head]."""
    position: Array = pattern.columns.argmax(-1)
    return position


@METRICS.add(range=SHARE, positions={"sink_place": sink_position})
def sink_share(pattern: Pattern) -> Measure:
    """The largest share of all weights that one key gets: max_j of the mean row.

    From 1/n_k to 1. It equals first_token where the first token is the sink.
    Source: Gu et al. 2024, with the mean over all queries for every key.
    """
    return _of_columns(pattern, pattern.columns.max(-1))


@METRICS.add(unit="nats", range=(-math.inf, 0), bins=lambda n: Bins(-math.log(n), 0.0))
def verticality(pattern: Pattern) -> Measure:
    """Minus the entropy of the mean row: whether all queries look at the same few keys.

    From -ln n_k to 0 (all at one key); in nats. Source: Yang, Liu and Lee 2020
    """
    return _of_columns(pattern, -entropy(pattern.columns))


@METRICS.add(range=SHARE, heading=to_say("special tokens"), priority=7)
def special_tokens(pattern: Pattern) -> Measure:
    """The weight on all tokens that the tokenizer added ([CLS], [SEP], …) together; mean over the
    queries that have a choice.

    From 0 to 1. Not defined where there are none, or where it is unknown which they are.
    Source: Clark et al. 2019
    """
    return pattern.mass(_keys(pattern.context.special))


@METRICS.add(range=SHARE, heading=to_say("punctuation"), priority=11)
def punctuation(pattern: Pattern) -> Measure:
    """The weight on all punctuation marks together; mean over the queries that have a choice.

    From 0 to 1. Not defined where there are none. Source: Clark et al. 2019, who
    take full stops and commas.
    """
    return pattern.mass(_keys(pattern.context.punctuation))


def _of_columns(pattern: Pattern, values: Array) -> Measure:
    count = pattern.context.queries.sum(-1)
    return Measure(np.where(count, values, np.nan), count)


def _keys(which: Array | None) -> Array | None:
    """[..., n_k] -> [..., 1, 1, n_k]."""
    return None if which is None else which[..., None, None, :]
