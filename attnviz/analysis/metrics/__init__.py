"""Numbers that say what a head does, each beside that of a head that spreads evenly.

    context = Setting(visible, ids=ids)
    pattern = Pattern(context, weights)
    value, rows = METRICS["induction"](pattern)  # [..., n_head]
    null, _ = METRICS["induction"](pattern.null)

There may be any axes before n_head: texts of one length, say. Layers under one mask can be put
together as one long axis of heads. Arrays that fit into the processor's cache, some megabytes,
are fastest.
"""

from __future__ import annotations

from attnviz.analysis.metrics import breadth, conversation, distance, keys, repeats, values
from attnviz.analysis.metrics.pattern import Measure, MetricContext, Pattern
from attnviz.analysis.metrics.registry import METRICS, MetricEntry

__all__ = [
    "METRICS",
    "Measure",
    "MetricContext",
    "MetricEntry",
    "Pattern",
    "breadth",
    "conversation",
    "distance",
    "keys",
    "repeats",
    "values",
]
