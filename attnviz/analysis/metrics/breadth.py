"""How many keys a head looks at."""

from __future__ import annotations

import math

import numpy as np

from attnviz.analysis.metrics.pattern import ORDINARY, Measure, Pattern
from attnviz.analysis.metrics.registry import METRICS, SHARE, Bins
from attnviz.language import to_say
from attnviz.nn.types import Array


@METRICS.add(unit="nats", range=(0, math.inf), bins=lambda n: Bins(0.0, math.log(n)))
def entropy(pattern: Pattern) -> Measure:
    """-Σ_j w_ij ln w_ij, mean over the queries i that see two keys.

    From 0 (one key) to the mean of ln m_i (all m_i visible keys equally); in nats. Where a learned
    sink takes some of each row, w_ij is divided by what the keys get together.
    Source: Clark et al. 2019
    """
    return pattern.over_rows(pattern.entropies)


@METRICS.add(range=SHARE)
def normalised_entropy(pattern: Pattern) -> Measure:
    """The entropy of each query as a share of its maximum, ln m_i; mean over the queries.

    From 0 (one key) to 1 (all visible keys equally), which is its null.
    """
    max_entropy = np.log(np.maximum(pattern.context.n_visible, 2))
    return pattern.over_rows(pattern.entropies / max_entropy)


@METRICS.add(
    unit="tokens",
    range=(1, math.inf),
    bins=lambda n: Bins(1.0, n, geometric=True),
    heading=to_say("spread (keys)"),
    priority=1,
    of=entropy,
)
def effective_tokens(mean_entropy: Array) -> Array:
    """exp(entropy): the number of equally weighted keys that would have the same entropy.

    From 1 to the number of visible keys. It is the exponential of the mean entropy (the
    geometric mean over the queries of Hill's number of order 1), not the mean of exponentials.
    Source: Hill 1973; Clark et al. 2019 read entropies in this way.
    """
    return np.exp(mean_entropy)


@METRICS.add(range=SHARE)
def confidence(pattern: Pattern) -> Measure:
    """Each query's largest weight on a token that the tokenizer did not add; mean over the
    queries that have a choice and see such a token.

    From 0 to 1. Where nothing is known of special tokens, all tokens count.
    Source: Voita et al. 2019, who leave out the end of the sentence.
    """
    ordinary = pattern.context.among(ORDINARY)
    if ordinary is None:
        return pattern.over_rows(pattern.largest)
    return pattern.over_rows(pattern.largest_ordinary, (ordinary > 0) & pattern.context.choosing)
