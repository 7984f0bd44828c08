"""Dumps for the tests of mistakes, and attention as one writes it down, with loops."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, shape)


def arrays(b=2, h=3, h_kv=None, n_q=7, n_k=None, d=10, d_v=None, seed=0):
    """q [b, h, n_q, d], k [b, h_kv, n_k, d], v [b, h_kv, n_k, d_v]"""
    rng, n_k, h_kv = np.random.default_rng(seed), n_k or n_q, h_kv or h
    q = rng.normal(0.3, 1, (b, h, n_q, d))
    k = rng.normal(-0.2, 1, (b, h_kv, n_k, d))
    return q, k, rng.normal(0.5, 1, (b, h_kv, n_k, d_v or d))


def wanted(causal=False, masking=None, **sizes):
    facts = {key: sizes.pop(key) for key in ("facts", "bias") if key in sizes}
    q, k, v = arrays(**sizes)
    rules = masking or Masking(causal=causal, offset=k.shape[2] - q.shape[2])
    return computation(q, k, v, masking=rules, **facts)


def attend(q, k, v, visible=None, bias=None, scale=None):
    """[b, h, n, d] each, as many heads of k and v as of q; loops over items, heads and queries."""
    b, h, n_q, d = q.shape
    n_k = k.shape[2]
    out = np.zeros((*q.shape[:3], v.shape[-1]))
    seen = np.broadcast_to(True if visible is None else visible, (b, h, n_q, n_k))
    added = np.broadcast_to(0.0 if bias is None else bias, (b, h, n_q, n_k))
    for at in np.ndindex(b, h, n_q):
        keys = np.flatnonzero(seen[at])
        if not len(keys):
            continue
        scores = k[at[:2]][keys] @ q[at] * (d**-0.5 if scale is None else scale)
        powers = np.exp(scores + added[at][keys])
        out[at] = powers @ v[at[:2]][keys] / powers.sum()
    return out


def repeated(x, h):
    """[b, h_kv, n, d] -> [b, h, n, d], head by head."""
    group = h // x.shape[1]
    return np.stack([x[:, i // group] for i in range(h)], axis=1)


def causal(n_q, n_k, offset=None):
    offset = n_k - n_q if offset is None else offset
    return np.array([[j <= i + offset for j in range(n_k)] for i in range(n_q)])


def variants(name, c, **parameter):
    """The variants of an entry whose parameters include these."""
    return [
        each
        for each in MISTAKES[name].variants(c)
        if parameter.items() <= dict(each.parameter).items()
    ]


def contexts(name, c, **parameter):
    """What they give, [b, h, n_q, d_v] each."""
    return [compute(each.computation).context for each in variants(name, c, **parameter)]


def check_one_of(made, expected):
    """That one of several arrays is the expected one."""
    assert made, "no variant"
    nearest = min(np.abs(x - expected).max() if x.shape == expected.shape else np.inf for x in made)
    assert nearest < 1e-12, nearest


def check_gives(name, c, expected, **parameter):
    """That a variant with these parameters gives the array."""
    check_one_of(contexts(name, c, **parameter), expected)


def check_rows(name, c):
    """That each variant that can be computed for some queries gives what it gives for all."""
    rows = np.array([0, c.n_q // 2, c.n_q - 1])
    for each in MISTAKES[name].variants(c):
        if not each.computation.mixes_rows:
            whole = compute(each.computation)
            some = compute(each.computation.at(rows))
            for stage, part in zip(whole, some, strict=True):
                assert np.allclose(stage[:, :, rows], part, rtol=0, atol=1e-12, equal_nan=True), (
                    each
                )
