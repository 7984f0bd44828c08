"""Dropout that was left on, or whose factor was applied where it should not be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step, to_weights
from attnviz.analysis.diagnose.facts import Dropped
from attnviz.analysis.diagnose.masking import in_rows
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array

RATES = (0.1, 0.5, 0.2, 0.3, 0.05, 0.25, 0.15, 0.4)
WANTED = "softmax(x) V"


def followed_by(c: Computation, step: Step) -> Computation:
    """With a step more behind the softmax."""
    return c.instead_of(to_weights, to_weights, step)


def dropping(found: Dropped) -> Step:
    """Some weights set to 0, the others multiplied by a factor."""

    def drop(weights: Array, c: Computation) -> Array:
        return np.where(in_rows(found.kept, c.rows), weights * found.ratio, 0)

    return drop


def as_found(c: Computation, *, rescaled: bool, everywhere: bool = True) -> Iterator[Variant]:
    """What dropout has left, where the numbers of the dump show that it was on, of all queries or
    of some."""
    found = c.facts.dropped
    if found is None or to_weights not in c.steps or (found.rows is None) != everywhere:
        return
    if (found.ratio > 1 + 1e-3) != rescaled:
        return
    named = {
        "p": float(f"{found.rate:.4g}"),
        "dropped": found.n_dropped,
        "of": found.n_dropped + found.n_kept,
        "ratio": float(f"{found.ratio:.5g}"),
    }
    if found.rows is not None:
        named |= {"first": found.rows[0], "last": found.rows[1]}
    yield Variant(followed_by(c, dropping(found)), named)


@MISTAKES.add(
    id="D1",
    family="dropout",
    title=to_say("dropout left on, p = {p:g}"),
    computed="dropout(softmax(x), p = {p:g}) V: {dropped} of {of} weights are 0",
    wanted=WANTED,
    fix="model.eval(), and dropout_p = p if self.training else 0.0: SDPA does not look at the mode",
    threads=(
        "huggingface/pytorch-image-models#1978",
        "meta-pytorch/torchtune#1791",
        "pytorch/pytorch#124464",
        "suno-ai/bark#662",
        "karpathy/nanoGPT#240",
        "huggingface/transformers#31468",
    ),
    detect="weights",
    rarity=2,
)
def dropout_left_on(c: Computation) -> Iterator[Variant]:
    """Each weight is 0 or 1/(1 - p) times what it should be, at random."""
    yield from as_found(c, rescaled=True)


@MISTAKES.add(
    id="D1",
    family="dropout",
    title=to_say(
        "dropout left on, p = {p:g}, as queries {first} to {last} show; the others see too many "
        "keys to tell"
    ),
    computed="dropout(softmax(x), p = {p:g}) V: {dropped} of {of} weights are 0",
    wanted=WANTED,
    fix="model.eval(), and dropout_p = p if self.training else 0.0: SDPA does not look at the mode",
    threads=(
        "huggingface/pytorch-image-models#1978",
        "meta-pytorch/torchtune#1791",
        "pytorch/pytorch#124464",
    ),
    detect="weights",
    rarity=2,
)
def dropout_in_some_queries(c: Computation) -> Iterator[Variant]:
    """The same, where weights follow from the outputs of some queries only."""
    yield from as_found(c, rescaled=True, everywhere=False)


@MISTAKES.add(
    id="D1",
    family="dropout",
    title=to_say("dropout left on, p ≈ {p:.2g}, and the other weights not divided by 1 - p"),
    computed="mask · softmax(x) V: {dropped} of {of} weights are 0",
    wanted=WANTED,
    fix="model.eval(); and in training divide by 1 - p what is left",
    threads=("huggingface/pytorch-image-models#1978",),
    detect="weights",
    rarity=6,
)
def dropout_not_rescaled(c: Computation) -> Iterator[Variant]:
    """Each weight is 0 or what it should be, at random."""
    yield from as_found(c, rescaled=False)


def times(factor: float) -> Step:
    def multiply(weights: Array, c: Computation) -> Array:
        return np.asarray(weights * weights.dtype.type(factor))

    return multiply


@MISTAKES.add(
    id="D1",
    family="dropout",
    title=to_say("all weights divided by 1 - p = {keep:g}, though none fell out"),
    computed="softmax(x) V / {keep:g}",
    wanted=WANTED,
    fix="at evaluation dropout does nothing: it neither drops nor divides",
    threads=("NVIDIA/Megatron-LM#411",),
    detect="parameter",
    rarity=6,
)
def dropout_factor_at_evaluation(c: Computation) -> Iterator[Variant]:
    """The rows sum to 1/(1 - p)."""
    if to_weights in c.steps:
        for rate in RATES:
            keep = 1 - rate
            yield Variant(followed_by(c, times(1 / keep)), {"p": rate, "keep": keep})


@MISTAKES.add(
    id="D1",
    family="dropout",
    title=to_say("all weights multiplied by 1 - p = {keep:g}"),
    computed="{keep:g} · softmax(x) V",
    wanted=WANTED,
    fix="dropout divides by 1 - p in training; then nothing is multiplied at evaluation",
    threads=(),
    detect="parameter",
    rarity=6,
)
def dropout_of_the_old_kind(c: Computation) -> Iterator[Variant]:
    """The rows sum to 1 - p, as where training does not divide by it."""
    if to_weights in c.steps:
        for rate in RATES:
            keep = 1 - rate
            yield Variant(followed_by(c, times(keep)), {"p": rate, "keep": keep})
