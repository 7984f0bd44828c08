"""A metric of one head, and heads that are known."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.metrics import METRICS, MetricContext, Pattern
from attnviz.nn.masks import parse

N = 10


def mask(name, n=N):
    return parse(name).visible(np.arange(n), np.arange(n))


CAUSAL = mask("causal")
ALL = np.ones((N, N), bool)


def measure(name, weights, visible=ALL, **known):
    """The value of the only head."""
    pattern = Pattern(MetricContext(visible, **known), np.asarray(weights, float)[None])
    (value,) = METRICS[name](pattern).value
    return value


def null(name, visible, **known):
    return METRICS[name](MetricContext(visible, **known).even).value.item()


PREVIOUS, NEXT = np.eye(N, k=-1), np.eye(N, k=1)
PREVIOUS[0, 0] = NEXT[-1, -1] = 1
SINK = np.eye(N)[np.zeros(N, int)]
