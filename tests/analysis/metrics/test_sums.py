"""Blocks of rows, added up, against the whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.analysis.metrics import METRICS, Pattern
from attnviz.analysis.metrics.sums import MetricSums
from tests.analysis.metrics.test_metrics_loops import patterns


@settings(deadline=None)
@given(pattern=patterns(), cut=st.integers(0, 7), trim=st.booleans())
def test_blocks_of_rows_give_the_metrics_of_the_whole(pattern, cut, trim):
    """Any mask, one for all heads or one for each; the second block without the keys that none of
    its queries sees."""
    context, n_head = pattern.context, len(pattern.weights)
    n_q, n_k = context.shape
    sums = MetricSums(METRICS.values(), n_head)
    for rows in (slice(0, min(cut, n_q)), slice(min(cut, n_q), n_q)):
        part = sums.fork()
        seen = np.flatnonzero(context.cells[:, rows].any((0, 1)))
        keys = slice(seen[0], seen[-1] + 1) if trim and seen.size else slice(0, n_k)
        block = context.block(rows, keys)
        if block.visible.ndim == 2:
            part.add_null(block)
        for head in range(n_head):
            some, own = slice(head, head + 1), block
            if block.visible.ndim > 2:
                own = context.block(rows, keys, visible=block.visible[some])
                part.add_null(own, some)
            part.add(
                Pattern(own, pattern.weights[some, rows, keys], pattern.norms[some, keys]), some
            )
        sums.merge(part)
    found = sums.finish(context)
    good = found.sums.good
    for name, metric in METRICS.items():
        (value, rows), null = metric(pattern), metric(pattern.null).value
        expected = {
            "value": np.where(good, value, np.nan),
            "null": np.broadcast_to(null, n_head),
            "rows": np.broadcast_to(rows, n_head),
        }
        for kind, right in expected.items():
            np.testing.assert_allclose(getattr(found, kind)[name], right, atol=1e-12, err_msg=name)
