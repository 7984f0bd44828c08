"""The table of metrics."""

from __future__ import annotations

from attnviz.registry import Entry, Registry

METRICS: Registry[Entry] = Registry("metric", Entry)
"""Functions of a pattern. The null of a metric is the same function of `pattern.null`."""

UNITS = {
    "entropy": "nats",
    "effective_tokens": "tokens",
    "mean_distance": "tokens",
    "verticality": "nats",
    "value_norm": "residual stream",
}
"""Of metrics that are no shares of 1."""
