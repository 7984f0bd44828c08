"""A mask that is added, multiplied, applied after the softmax, or filled with the wrong number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step
from attnviz.analysis.diagnose.hiding import (
    RIGHT,
    applied_otherwise,
    seen_by,
    step_that_hides,
    whole_or_part,
)
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array

# numbers in the place of −∞


def _added(on_visible: float, on_hidden: float) -> Callable[[Masking], Step]:
    def of(part: Masking) -> Step:
        def add(x: Array, c: Computation) -> Array:
            number = np.where(seen_by(part, c), on_visible, on_hidden)
            return np.asarray(x + number.astype(x.dtype))

        return add

    return of


def _filled(value: float) -> Callable[[Masking], Step]:
    def of(part: Masking) -> Step:
        def fill(x: Array, c: Computation) -> Array:
            return np.where(seen_by(part, c), x, np.asarray(value, x.dtype))

        return fill

    return of


def _otherwise(c: Computation, step: Callable[[Masking], Step]) -> Iterator[Variant]:
    """With the mask, or one part of it, applied by a step of another kind."""
    for parts, parameter, words in whole_or_part(c):
        yield Variant(applied_otherwise(c, parts, step), parameter, words)


@MISTAKES.add(
    id="M2",
    family="mask",
    title=to_say("the 0/1 mask added to the scores: +1 where a key is visible, nothing hidden"),
    computed="softmax(S + visible) V",
    wanted=RIGHT,
    fix="scores = scores.masked_fill(~mask, float('-inf'))  # a boolean mask is not added",
    threads=(
        "NVlabs/WarpConvNet#26",
        "mlverse/torch#1208",
        "huggingface/transformers#41443",
        "pytorch/pytorch#21518",
    ),
    pairs=True,
    rarity=3,
)
def mask_added(c: Computation) -> Iterator[Variant]:
    """Visible keys weigh e times as much, hidden ones are not hidden."""
    yield from _otherwise(c, _added(1, 0))


@MISTAKES.add(
    id="M2",
    family="mask",
    title=to_say("the 0/1 mask added to the scores: +1 where a key should be hidden"),
    computed="softmax(S + hidden) V",
    wanted=RIGHT,
    fix="scores = scores.masked_fill(mask, float('-inf'))  # a boolean mask is not added",
    threads=(
        "NVlabs/WarpConvNet#26",
        "mlverse/torch#1208",
        "huggingface/transformers#41443",
        "pytorch/pytorch#21518",
    ),
    rarity=3,
)
def inverted_mask_added(c: Computation) -> Iterator[Variant]:
    """Of a mask whose ones hide: hidden keys weigh e times as much."""
    yield from _otherwise(c, _added(0, 1))


@MISTAKES.add(
    id="M3",
    family="mask",
    title=to_say("masked scores set to about 0 (0 or ±1e-9), not to −∞"),
    computed="softmax(where(visible, S, 1e-9)) V",
    wanted=RIGHT,
    fix="scores.masked_fill(~mask, float('-inf'))  # not 1e-9",
    threads=("awslabs/gluonts#1401", "hyunwoongko/transformer#10"),
    pairs=True,
    rarity=2,
)
def filled_with_zero(c: Computation) -> Iterator[Variant]:
    """Each hidden key still weighs e⁰ = 1 before the softmax divides."""
    yield from _otherwise(c, _filled(0))


@MISTAKES.add(
    id="M3",
    family="mask",
    title=to_say("masked scores set to +∞: every query with a hidden key is NaN"),
    computed="softmax(where(visible, S, +∞)) V",
    wanted=RIGHT,
    fix="-float('inf') once; float('-inf') is negative already",
    threads=("lucidrains/memory-compressed-attention#2",),
    rarity=6,
)
def filled_with_infinity(c: Computation) -> Iterator[Variant]:
    """∞ - ∞ in the softmax."""
    yield from _otherwise(c, _filled(np.inf))


SMALL_FILLS = (-1.0, -10.0, -2.0, -5.0, -20.0, -50.0)


OTHER_FILLS = (
    1.0,
    -0.1,
    -0.5,
    *(-float(n) for n in (3, 4, 6, 7, 8, 9, 12, 15, 16, 25, 30, 32, 40)),
)


FILLS = (-1e9, -1e4, -100.0, -1e5, -1e3, -65504.0, -1e10, -float(np.finfo(np.float32).max))
"""Numbers that people write for −∞."""


NEGLIGIBLE = 45.0
"""exp(-45) is nothing beside 1 even in float64."""


LARGEST_EXPONENT = 80.0
"""exp(-80) is still a number in float32."""


@MISTAKES.add(
    id="M3",
    family="mask",
    title=to_say("masked scores set to {value:g}, which hides only a little"),
    computed="softmax(where(visible, S, {value:g})) V",
    wanted=RIGHT,
    fix="scores.masked_fill(~mask, float('-inf'))  # not {value:g}",
    threads=("awslabs/gluonts#1401", "hyunwoongko/transformer#10"),
    detect="parameter",
    rarity=5,
)
def filled_with_little(c: Computation) -> Iterator[Variant]:
    """Hidden keys keep some weight."""
    yield from _fills_that_show(c, SMALL_FILLS)


@MISTAKES.add(
    id="M3",
    family="mask",
    title=to_say("masked scores set to {value:g}, which hides only a little"),
    computed="softmax(where(visible, S, {value:g})) V",
    wanted=RIGHT,
    fix="scores.masked_fill(~mask, float('-inf'))  # not {value:g}",
    threads=("awslabs/gluonts#1401", "hyunwoongko/transformer#10"),
    detect="parameter",
    rarity=9,
)
def filled_with_another_number(c: Computation) -> Iterator[Variant]:
    """A number that is seldom written for -∞."""
    yield from _fills_that_show(c, OTHER_FILLS)


@MISTAKES.add(
    id="M13",
    family="mask",
    title=to_say("masked scores set to {value:g}, and real scores lie as low as that"),
    computed="softmax(where(visible, S, {value:g})) V",
    wanted=RIGHT,
    fix="scores.masked_fill(~mask, float('-inf'))  # no finite number is below every score",
    threads=(
        "TransformerLensOrg/TransformerLens#385",
        "TransformerLensOrg/TransformerLens#366",
        "TransformerLensOrg/TransformerLens#318",
    ),
    detect="parameter",
    rarity=1,
)
def filled_above_real_scores(c: Computation) -> Iterator[Variant]:
    """Hidden keys win where all visible ones have scores below the number."""
    yield from _fills_that_show(c, FILLS)


def _fills_that_show(c: Computation, values: tuple[float, ...]) -> Iterator[Variant]:
    if step_that_hides(c) is None:
        return
    bound = _largest_score(c) + NEGLIGIBLE
    for value in values:
        if -value < bound:
            yield Variant(applied_otherwise(c, c.masking.parts, _filled(value)), {"value": value})


@MISTAKES.add(
    id="M3",
    family="mask",
    title=to_say("a finite number in the place of −∞, far below every score"),
    computed="softmax(where(visible, S, {value:g})) V",
    wanted=RIGHT,
    fix=to_say("nothing: the numbers are the same"),
    detect="equal",
    rarity=1,
)
def filled_with_enough(c: Computation) -> Iterator[Variant]:
    """No query notices, as long as each sees some key."""
    if step_that_hides(c) and not c.masking.leaves_rows_empty(c.n_q, c.n_k):
        bound = 2 * _largest_score(c) + NEGLIGIBLE
        for value in FILLS:
            if -value > bound:
                changed = applied_otherwise(c, c.masking.parts, _filled(value))
                yield Variant(changed, {"value": value})


def _largest_score(c: Computation) -> float:
    """A number that no score exceeds, of either sign."""
    longest = [float(np.sqrt((x.astype(np.float64) ** 2).sum(-1).max())) for x in (c.q, c.k)]
    largest = longest[0] * longest[1] * float(np.abs(c.scale).max())
    if c.softcap:
        largest = min(largest, abs(c.softcap))
    if c.bias is not None:
        finite = np.abs(c.bias[np.isfinite(c.bias)])
        largest += float(finite.max()) if finite.size else 0.0
    return largest if np.isfinite(largest) else 0.0


# before or after the softmax


def _zeroed(part: Masking) -> Step:
    """Hidden weights are 0, and nothing makes up for them."""

    def zero(x: Array, c: Computation) -> Array:
        return np.where(seen_by(part, c), x, x.dtype.type(0))

    return zero


def _renormalised(x: Array, c: Computation) -> Array:
    total = x.sum(-1, keepdims=True)
    return np.asarray(x / np.where(total == 0, x.dtype.type(1), total))


@MISTAKES.add(
    id="M4",
    family="mask",
    title=to_say("the mask applied after the softmax: weights no longer sum to 1"),
    computed="(softmax(S) ⊙ visible) V",
    wanted=RIGHT,
    fix=to_say("mask the scores with −∞ before the softmax"),
    threads=("huggingface/pytorch-image-models#2236", "autosome-ru/vigg_ribonanza#1"),
    pairs=True,
    rarity=2,
)
def zeroed_after_softmax(c: Computation) -> Iterator[Variant]:
    """Hidden keys take part in the denominator."""
    for parts, parameter, words in whole_or_part(c):
        rest = replace(c, masking=c.masking.without(*parts))
        zero = _zeroed(c.masking.only(*parts))
        yield Variant(replace(rest, steps=(*rest.steps, zero)), parameter, words)


@MISTAKES.add(
    id="M4",
    family="mask",
    title=to_say("the mask applied after the softmax, and the weights normalised again"),
    computed="normalised(softmax(S) ⊙ visible) V",
    wanted=RIGHT,
    fix=to_say("nothing: the numbers are the same"),
    threads=("ruotianluo/self-critical.pytorch#89",),
    detect="equal",
)
def zeroed_and_renormalised(c: Computation) -> Iterator[Variant]:
    """The same as −∞ before the softmax, up to rounding."""
    vanishes = 2 * _largest_score(c) > LARGEST_EXPONENT
    if step_that_hides(c) and c.sinks is None and not vanishes:
        rest = replace(c, masking=Masking())
        yield Variant(replace(rest, steps=(*rest.steps, _zeroed(c.masking), _renormalised)))


@MISTAKES.add(
    id="M4",
    family="mask",
    title=to_say("hidden weights set to {value} after the softmax"),
    computed="where(visible, softmax(S), {value}) V",
    wanted=RIGHT,
    fix=to_say("mask the scores before the softmax, not the weights after it"),
    threads=("huggingface/pytorch-image-models#2236",),
    detect="parameter",
    rarity=6,
)
def filled_after_softmax(c: Computation) -> Iterator[Variant]:
    """What belongs into the scores is written into the weights."""
    if step_that_hides(c):
        bare = replace(c, masking=Masking())
        for value in (-1e9, -np.inf, -1e4):
            fill = _filled(value)(c.masking)
            parameter = {"value": f"{value:g}"}
            yield Variant(replace(bare, steps=(*bare.steps, fill)), parameter)


@MISTAKES.add(
    id="M5",
    family="mask",
    title=to_say("the scores multiplied by the 0/1 mask before the softmax"),
    computed="softmax(S ⊙ visible) V",
    wanted=RIGHT,
    fix="scores.masked_fill(~mask, float('-inf'))  # a score of 0 is not hidden: e⁰ = 1",
    threads=("awslabs/gluonts#1401",),
    pairs=True,
    rarity=3,
)
def multiplied_before_softmax(c: Computation) -> Iterator[Variant]:
    """The same numbers as a fill of 0."""

    def multiplied(part: Masking) -> Step:
        return lambda x, c: np.asarray(x * seen_by(part, c))

    yield from _otherwise(c, multiplied)
