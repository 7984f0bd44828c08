"""Attention in plain loops, for the tests of mistakes: the formula of each is written in its test,
on single numbers, and shares nothing with what is tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.nn.types import Array

Logit = Callable[[float, int, int, int, int], float]
"""q · k, item of the batch, head, query, key -> what enters the softmax; -inf where masked."""

Weigh = Callable[[list[float]], Sequence[float]]
"""The logits of one query -> its weights."""


def dots(c: Computation) -> Array:
    """q · k, [n_batch, n_head, n_q, n_k]; consecutive query heads share a key head."""
    n_batch, n_head, n_q, _ = c.q.shape
    share = n_head // c.n_kv_head
    result = np.zeros((n_batch, n_head, n_q, c.n_k))
    for b, h, i, j in np.ndindex(*result.shape):
        result[b, h, i, j] = sum(c.q[b, h, i, d] * c.k[b, h // share, j, d] for d in range(c.d_k))
    return result


def logits(c: Computation, logit: Logit) -> Array:
    """What enters the softmax, [n_batch, n_head, n_q, n_k]."""
    raw = dots(c)
    result = np.zeros(raw.shape)
    for b, h, i, j in np.ndindex(*raw.shape):
        result[b, h, i, j] = logit(float(raw[b, h, i, j]), b, h, i, j)
    return result


def softmax(row: list[float]) -> list[float]:
    """exp(x) / Σ exp(x); zeros where nothing is visible."""
    powers = [0.0 if x == -math.inf else math.exp(x) for x in row]
    total = sum(powers)
    return [p / total if total else 0.0 for p in powers]


def weights(c: Computation, logit: Logit, weigh: Weigh = softmax) -> Array:
    """[n_batch, n_head, n_q, n_k]"""
    x = logits(c, logit)
    result = np.zeros(x.shape)
    for b, h, i in np.ndindex(*x.shape[:3]):
        result[b, h, i] = weigh([float(each) for each in x[b, h, i]])
    return result


def context(c: Computation, w: Array) -> Array:
    """Σ weight · v, [n_batch, n_head, n_q, d_v]"""
    share = c.n_head // c.n_kv_head
    result = np.zeros((*w.shape[:3], c.v.shape[-1]))
    for b, h, i, j in np.ndindex(*w.shape):
        if w[b, h, i, j] != 0:
            result[b, h, i] += w[b, h, i, j] * c.v[b, h // share, j]
    return result
