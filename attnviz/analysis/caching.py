"""Whether decoding with a cache computed what one whole pass computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.trace.record import Record, Trace


def cache_error(trace: Trace, n_given: int, steps: Sequence[Sequence[Record]]) -> float | None:
    """The largest difference between the weights of `trace`, computed in one pass, and those of
    the steps, whose records end with the row of the last token read: the last of the `n_given`
    first tokens, then one more a step. None if they have no attention in common."""
    whole = {record.id: record.stage("weights") for record in trace}
    errors = []
    for number, records in enumerate(steps):
        stop = n_given + number
        for record in records:
            if record.id in whole:
                rows = record.stage("weights")
                same = whole[record.id][:, stop - rows.shape[1] : stop, : rows.shape[2]]
                errors.append(float(np.abs(rows - same).max(initial=0)))
    return float(np.max(errors)) if errors else None  # one that is not a number stays so
