"""Inputs on which mistakes are planted: the probe's, and what only some of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, computation, compute
from attnviz.analysis.diagnose.facts import Dropped, Facts, Rotary
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.probe import FEATURES, probe
from attnviz.analysis.diagnose.rotary import rotated

USUAL = ("causal", "padding")

P = 0.1
"""How many weights fall out."""


def square(n_batch: int = 3, n_head: int = 5, n_kv_head: int = 5, d: int = 7) -> Computation:
    """As many queries as keys, causal, values as wide as keys."""
    n = 11
    rng = np.random.default_rng(31)
    q = rng.normal(size=(n_batch, n_head, n, d))
    k, v = (rng.normal(size=(n_batch, n_kv_head, n, d)) + at for at in (0.0, 0.5))
    return computation(q, k, v, masking=Masking(causal=True), facts=Facts(d_model=53))


def without_a_mask() -> Computation:
    return replace(square(), masking=Masking())


def projected() -> Computation:
    """q, k and v from a fused projection with a bias."""
    rng = np.random.default_rng(37)
    n_batch, n, n_head, d = 3, 11, 5, 7
    x = rng.normal(size=(n_batch, n, n_head * d))
    weight = rng.normal(size=(n_head * d, 3 * n_head * d)) * 0.2
    fused = x @ weight + rng.normal(size=3 * n_head * d)
    q, k, v = (
        part.reshape(n_batch, n, n_head, d).transpose(0, 2, 1, 3) for part in np.split(fused, 3, -1)
    )
    facts = Facts(d_model=n_head * d, inputs=(x, weight), fused=fused)
    return computation(q, k, v, masking=Masking(causal=True), facts=facts)


def square_with_rope() -> Computation:
    c = replace(square(d=8))
    at = np.arange(c.n_q)
    rotary = Rotary(c.q, c.k, at, at)
    return replace(
        c, q=rotated(c.q, at, rotary), k=rotated(c.k, at, rotary), facts=Facts(rotary=rotary)
    )


def scaled_rope() -> Computation:
    """Longer contexts: other frequencies and a gain, as YaRN has them."""
    c = square(d=8)
    at = np.arange(c.n_q)
    rotary = Rotary(c.q, c.k, at, at, frequencies=np.array([1.0, 0.07, 0.004, 0.0003]), gain=1.2)
    return replace(
        c, q=rotated(c.q, at, rotary), k=rotated(c.k, at, rotary), facts=Facts(rotary=rotary)
    )


def upper_left() -> Computation:
    return probe(USUAL).with_masking(offset=0)


def window_to_both_sides() -> Computation:
    return probe(("padding",)).with_masking(left=3, right=2)


def prefix() -> Computation:
    """The first keys are seen by all."""
    return probe(("causal",)).with_masking(prefix=9)


def one_kv_head() -> Computation:
    return square(n_head=3, n_kv_head=1)


def many_kv_heads() -> Computation:
    return square(n_head=6, n_kv_head=3)


def masks_of_heads() -> Computation:
    """A mask of its own for each head of each item."""
    c = square(n_batch=4)
    seen = np.random.default_rng(41).random((4, c.n_head, c.n_q, c.n_k)) < 0.6
    return replace(c, masking=Masking(custom=seen | np.eye(c.n_q, dtype=bool)))


def sparse() -> Computation:
    """Causal and padded, and of the rest most cells are seen, the diagonal always."""
    c = probe((*USUAL, "square"))
    seen = np.random.default_rng(47).random((1, 1, c.n_q, c.n_k)) < 0.7
    return c.with_masking(custom=seen | np.eye(c.n_q, dtype=bool))


def scale_of_its_own() -> Computation:
    return replace(probe(USUAL), scale=0.31)


def very_low_scores() -> Computation:
    """All scores are below -1e4."""
    c = square()
    there = np.ones(c.d_k) * 250
    return replace(c, q=c.q + there, k=c.k - there)


def large_scores() -> Computation:
    """Scores beyond what float16 holds."""
    c = probe(USUAL)
    return replace(c, q=c.q * 170, k=c.k * 170)


def norm_and_rope() -> Computation:
    return probe((*USUAL, "norm", "rotary"))


def dropped_weights() -> Computation:
    """The probe's, of whose weights some fell out: what is read off the numbers."""
    c = probe(USUAL)
    weights = compute(c).weights
    kept = np.random.default_rng(43).random(weights.shape) >= P
    there = weights > 0
    dropped = Dropped(kept, P, 1 / (1 - P), int((there & ~kept).sum()), int((there & kept).sum()))
    return replace(c, facts=replace(c.facts, dropped=dropped))


def dropped_and_not_rescaled() -> Computation:
    c = dropped_weights()
    assert c.facts.dropped is not None
    return replace(c, facts=replace(c.facts, dropped=replace(c.facts.dropped, ratio=1.0)))


def larger_outputs() -> Computation:
    """The probe's, whose outputs are 7.5 times too large: what is read off the numbers."""
    c = probe(USUAL)
    return replace(c, facts=replace(c.facts, gain=np.full(c.n_head, 7.5)))


def scale_that_nobody_wants() -> Computation:
    """The probe's, whose scale is what is read off the numbers."""
    c = probe(USUAL)
    return replace(c, facts=replace(c.facts, scale=(0.1234, "")))


INPUTS: Mapping[str, Callable[[], Computation]] = {
    " + ".join(features) or "no mask": partial(probe, features)
    for features in (
        USUAL,
        *((*USUAL, name) for name in FEATURES if name not in USUAL),
        (*USUAL, "bias", "softcap"),
        ("causal",),
        ("padding",),
        ("alibi",),
        (),
    )
} | {
    each.__name__.replace("_", " "): each
    for each in (
        *(square, without_a_mask, projected, square_with_rope, scaled_rope, norm_and_rope),
        *(upper_left, window_to_both_sides, prefix, one_kv_head, many_kv_heads, masks_of_heads),
        *(sparse, scale_of_its_own, large_scores, very_low_scores),
        *(dropped_weights, dropped_and_not_rescaled, larger_outputs),
        scale_that_nobody_wants,
    )
}
"""Words for an input -> what makes it, in the order in which they are tried."""


def as_dumped(c: Computation) -> Computation:
    """Without what only the numbers of a dump tell."""
    return replace(c, facts=replace(c.facts, dropped=None, gain=None, scale=None, base=None))
