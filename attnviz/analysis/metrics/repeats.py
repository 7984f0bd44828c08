"""What a head does where tokens come again."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.metrics.pattern import COPIES, FOLLOWERS, Measure, MetricContext, Pattern
from attnviz.analysis.metrics.registry import METRICS, SHARE
from attnviz.language import to_say
from attnviz.nn.types import Array


@METRICS.add(range=SHARE, heading=to_say("duplicate token"), priority=10)
def duplicate_token(pattern: Pattern) -> Measure:
    """The weight on all earlier copies of the query's token together; mean over the queries that
    see one.

    From 0 to 1. Not defined where no token is repeated; special and unknown tokens never count as
    copies.
    Source: the duplicate-token pattern of TransformerLens, summed over copies.
    """
    return pattern.mass(COPIES)


def period(values: Array, context: MetricContext) -> Array | None:
    """The distance of which those of all copies are multiples, [..., n_head]; where there is one,
    induction cannot be told from a look at a fixed offset."""
    distance = context.period
    return None if distance is None else np.full(values.shape, float(distance))


@METRICS.add(range=SHARE, heading=to_say("induction"), priority=8, positions={"period": period})
def induction(pattern: Pattern) -> Measure:
    """The weight on all tokens right after earlier copies of the query's token together; mean
    over the queries that see one.

    From 0 to 1, whatever the period. Not defined where no token is repeated. The query itself does
    not count as a token after a copy; what counts as a copy is as in duplicate_token.
    Source: Olsson et al. 2022, prefix matching, summed over copies; see prefix_matching.
    """
    return pattern.mass(FOLLOWERS)


def followed(pattern: Pattern) -> Measure:
    """What a query gives to the cells of `induction`, and how many it sees, [..., n_head, 2];
    mean over the queries that see one and have a choice."""
    count = pattern.context.among(FOLLOWERS)
    if count is None:
        return pattern.undefined(2)
    given, rows = pattern.mass(FOLLOWERS)
    cells, _ = pattern.over_rows(count, (count > 0) & pattern.context.choosing)
    return Measure(np.stack(np.broadcast_arrays(given, cells), -1), rows)


@METRICS.add(range=SHARE, of=followed)
def prefix_matching(given_and_cells: Array) -> Array:
    """The mean weight of every single cell that `induction` adds up.

    From 0 to the number of its queries divided by that of its cells: 0.5 for a block of tokens
    that comes four times. Do not compare it with induction.
    Source: Olsson et al. 2022, appendix, with their erratum (the token after the copy).
    """
    return np.asarray(given_and_cells[..., 0] / given_and_cells[..., 1])
