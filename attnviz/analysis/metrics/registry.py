"""The table of metrics."""

from __future__ import annotations

from collections.abc import Callable

from attnviz.analysis.metrics.pattern import Measure, Pattern
from attnviz.registry import Registry

METRICS: Registry[Callable[[Pattern], Measure]] = Registry("metric")
"""Functions of a pattern. The null of a metric is the same function of `pattern.null`."""

UNITS = {
    "entropy": "nats",
    "effective_tokens": "tokens",
    "mean_distance": "tokens",
    "verticality": "nats",
    "value_norm": "residual stream",
}
"""Of metrics that are no shares of 1."""
