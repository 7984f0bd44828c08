"""What a head does where tokens come again."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.metrics.pattern import Measure, Pattern, inner
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
    return pattern.mass(pattern.context.copies)


def period(pattern: Pattern) -> Array | None:
    """The distance of which those of all copies are multiples, [..., n_head]; where there is one,
    induction cannot be told from a look at a fixed offset."""
    distance = pattern.context.period
    return None if distance is None else np.full(pattern.weights.shape[:-2], float(distance))


@METRICS.add(range=SHARE, heading=to_say("induction"), priority=8, positions={"period": period})
def induction(pattern: Pattern) -> Measure:
    """The weight on all tokens right after earlier copies of the query's token together; mean
    over the queries that see one.

    From 0 to 1, whatever the period. Not defined where no token is repeated. The query itself does
    not count as a token after a copy; what counts as a copy is as in duplicate_token.
    Source: Olsson et al. 2022, prefix matching, summed over copies; see prefix_matching.
    """
    return pattern.mass(pattern.context.followers)


@METRICS.add(range=SHARE)
def prefix_matching(pattern: Pattern) -> Measure:
    """The mean weight of every single cell that `induction` adds up.

    From 0 to the number of its queries divided by that of its cells: 0.5 for a block of tokens
    that comes four times. Do not compare it with induction.
    Source: Olsson et al. 2022, appendix, with their erratum (the token after the copy).
    """
    behind = pattern.context.followers
    if behind is None:
        return pattern.undefined()
    cells = behind & pattern.context.cells & pattern.context.choosing[..., None]
    count = cells.sum((-2, -1))
    total = inner(pattern.wide, cells)
    return Measure(total / np.where(count, count, np.nan), cells.any(-1).sum(-1))
