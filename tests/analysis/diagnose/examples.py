"""Computations on generic numbers, on which mistakes are tried: the sizes are distinct."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import attnviz.analysis.diagnose.mistakes  # noqa: F401  fills the registry
from attnviz.analysis.diagnose.computation import Computation, computation
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import Masking

N_BATCH, N_HEAD, N_KV_HEAD, N_Q, N_K, D_K, D_V = 2, 6, 3, 5, 7, 11, 13
D_MODEL = 67


def plain(seed: int = 7, n_q: int = N_Q, n_k: int = N_K, **fields: Any) -> Computation:
    """Grouped heads, no mask."""
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(N_BATCH, N_HEAD, n_q, D_K))
    k = rng.normal(size=(N_BATCH, N_KV_HEAD, n_k, D_K)) + 0.1
    v = rng.normal(size=(N_BATCH, N_KV_HEAD, n_k, D_V)) + 0.3
    return computation(q, k, v, **{"facts": Facts(d_model=D_MODEL), **fields})


def causal() -> Computation:
    return plain(8, masking=Masking(causal=True, offset=N_K - N_Q))


def padded() -> Computation:
    """Causal, and the second item of the batch has two keys less."""
    keys = np.ones((N_BATCH, 1, 1, N_K), bool)
    keys[1, ..., -2:] = False
    return plain(9, masking=Masking(causal=True, offset=N_K - N_Q, keys=keys))


def windowed() -> Computation:
    return plain(10, masking=Masking(causal=True, offset=N_K - N_Q, left=3))


def biased() -> Computation:
    """Causal, with a bias for each head, query and key."""
    bias = np.random.default_rng(1).normal(size=(1, N_HEAD, N_Q, N_K))
    return replace(causal(), bias=bias)


def capped() -> Computation:
    """With a cap, over which many scores are."""
    return replace(causal(), softcap=1.5)


def with_sinks() -> Computation:
    return replace(causal(), sinks=np.random.default_rng(2).normal(size=N_HEAD))


def with_everything() -> Computation:
    """A mask, a bias, a cap, sinks and a scale of its own."""
    return replace(padded(), bias=biased().bias, softcap=1.5, sinks=with_sinks().sinks, scale=0.37)


EXAMPLES: dict[str, Callable[[], Computation]] = {
    each.__name__: each
    for each in (plain, causal, padded, windowed, biased, capped, with_sinks, with_everything)
}
