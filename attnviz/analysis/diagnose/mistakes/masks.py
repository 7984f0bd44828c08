"""A mask that means something else, is filled with the wrong number, applied in the wrong place,
laid out wrongly, or forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step
from attnviz.analysis.diagnose.hiding import (
    ROUGH,
    applied_otherwise,
    empty_rows,
    finite_parts,
    hiding,
    instead_of_hiding,
    misread,
    nan_where_empty,
    rounded_where_empty,
    seen_by,
    step_that_hides,
    where_empty,
    whole_or_part,
)
from attnviz.analysis.diagnose.masking import Masking, Segments
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool

RIGHT = "softmax(where(visible, S, −∞)) V, S = QKᵀ/√d_k"


# what the mask means


@MISTAKES.add(
    id="M1",
    family="mask",
    title=to_say("the mask inverted: each query attends to exactly the keys hidden from it"),
    computed="softmax(where(visible, −∞, S)) V",
    wanted=RIGHT,
    fix="mask = ~mask  # True hides in nn.MultiheadAttention, and shows in SDPA",
    threads=(
        "rasbt/LLMs-from-scratch#1061",
        "nyu-mll/jiant#465",
        "InseeFrLab/torchTextClassifiers#92",
        "mlwithme/TransformerTranslation#6",
        "pytorch/pytorch#120668",
    ),
    pairs=True,
    rarity=1,
)
def inverted_mask(c: Computation) -> Iterator[Variant]:
    """The mask as a whole, and each of two masks by itself: what both hide is seen."""
    if step_that_hides(c) is None:
        return
    yield Variant(misread(c, np.logical_not))
    if "padding" in c.masking.parts and _causal_can_turn(c.masking):
        turned = replace(c, masking=_padding_turned(_causal_turned(c.masking)))
        words = to_say("the causal mask and the padding each by itself")
        yield Variant(turned, {"part": "both"}, words)


@MISTAKES.add(
    id="M1",
    family="mask",
    title=to_say("the padding mask inverted: only the padded keys are seen"),
    computed="softmax(where(padding, S, −∞)) V",
    wanted=RIGHT,
    fix="key_padding_mask = tokens == pad  # nn.MultiheadAttention: True hides",
    threads=("nyu-mll/jiant#465", "InseeFrLab/torchTextClassifiers#92", "pytorch/pytorch#120668"),
    pairs=True,
    rarity=2,
)
def inverted_padding(c: Computation) -> Iterator[Variant]:
    """The other parts of the mask stay as they are."""
    if step_that_hides(c) and "padding" in c.masking.parts and len(c.masking.parts) > 1:
        yield Variant(replace(c, masking=_padding_turned(c.masking)))


@MISTAKES.add(
    id="M1",
    family="mask",
    title=to_say("the causal mask inverted: each query sees only what comes after it"),
    computed="softmax(where(j > i, S, −∞)) V",
    wanted="softmax(where(j ≤ i, S, −∞)) V, S = QKᵀ/√d_k",
    fix="mask = torch.tril(torch.ones(n, n, dtype=torch.bool))  # True shows",
    threads=("rasbt/LLMs-from-scratch#1061", "mlwithme/TransformerTranslation#6"),
    pairs=True,
    rarity=2,
)
def inverted_causal(c: Computation) -> Iterator[Variant]:
    """The other parts of the mask stay as they are."""
    if step_that_hides(c) and _causal_can_turn(c.masking) and len(c.masking.parts) > 1:
        yield Variant(replace(c, masking=_causal_turned(c.masking)))


def _causal_can_turn(masking: Masking) -> bool:
    return masking.causal and not np.any(masking.prefix)


def _causal_turned(masking: Masking) -> Masking:
    """Every key that the causal rule hides, and no other."""
    return replace(masking.without("causal"), left=-1 - masking.ahead)


def _padding_turned(masking: Masking) -> Masking:
    return masking if masking.keys is None else replace(masking, keys=~masking.keys)


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


# forgotten


FORGOTTEN = (
    "keras-team/keras#23038",
    "facebookresearch/xformers#103",
    "QwenLM/Qwen#933",
    "facebookresearch/xformers#1185",
    "AnswerDotAI/ModernBERT#40",
    "jerryji1993/DNABERT#102",
)


@MISTAKES.add(
    id="M6",
    family="mask",
    title=to_say("no mask: every query sees all keys"),
    computed="softmax(S) V",
    wanted=RIGHT,
    fix=to_say("pass the mask on; masked_fill returns a new tensor, masked_fill_ works in place"),
    threads=FORGOTTEN,
    pairs=True,
    rarity=1,
)
def mask_dropped(c: Computation) -> Iterator[Variant]:
    """All of it; where the mask has one part only, that part's entry says it better."""
    if step_that_hides(c) and c.masking.parts not in (("causal",), ("padding",)):
        yield Variant(replace(c, masking=Masking()))


@MISTAKES.add(
    id="M6",
    family="mask",
    title=to_say("no padding mask: padded keys are attended to"),
    computed="softmax(S) V over all keys, padding included",
    wanted=RIGHT,
    fix=to_say("pass the padding mask on to every layer"),
    threads=("AnswerDotAI/ModernBERT#40", "OpenNMT/OpenNMT-py#2589", "jerryji1993/DNABERT#102"),
    pairs=True,
    rarity=2,
)
def padding_dropped(c: Computation) -> Iterator[Variant]:
    """Of the keys; the causal mask and the rest stay."""
    if step_that_hides(c) and "padding" in c.masking.parts:
        yield Variant(replace(c, masking=c.masking.without("padding")))


@MISTAKES.add(
    id="M6",
    family="mask",
    title=to_say("no causal mask: queries see later keys"),
    computed="softmax(S) V over all keys, later ones included",
    wanted="softmax(where(j ≤ i, S, −∞)) V, S = QKᵀ/√d_k",
    fix="is_causal=True, or a lower triangular mask",
    threads=FORGOTTEN[:4],
    pairs=True,
    rarity=1,
)
def causal_dropped(c: Computation) -> Iterator[Variant]:
    """The padding and the rest of the mask stay; so does a window, in which queries then see
    ahead without end."""
    if step_that_hides(c) and c.masking.causal and not c.masking.has_window:
        yield Variant(replace(c, masking=c.masking.without("causal")))


@MISTAKES.add(
    id="M6",
    family="mask",
    title=to_say("only the causal mask and the padding: the rest of the mask is not applied"),
    computed="softmax(where(causal and no padding, S, −∞)) V",
    wanted=RIGHT,
    fix="combine the masks: mask = causal & padding & mask",
    threads=FORGOTTEN[:3],
    rarity=4,
)
def custom_dropped(c: Computation) -> Iterator[Variant]:
    """What no rule explains is forgotten."""
    if step_that_hides(c) and "custom" in c.masking.parts and len(c.masking.parts) > 1:
        yield Variant(replace(c, masking=c.masking.without("custom")))


@MISTAKES.add(
    id="M6",
    family="mask",
    title=to_say("the prefix masked causally too, which every query should see"),
    computed="softmax(where(j ≤ i, S, −∞)) V",
    wanted="softmax(where(j ≤ i or j < prefix, S, −∞)) V, S = QKᵀ/√d_k",
    fix="mask[..., :prefix] = True  # of a causal mask",
    rarity=3,
)
def prefix_dropped(c: Computation) -> Iterator[Variant]:
    """A prefix language model computed as a causal one."""
    if step_that_hides(c) and c.masking.causal and np.any(c.masking.prefix):
        yield Variant(c.with_masking(prefix=0))


# padding and queries


ON_QUERIES = (
    "Kyubyong/transformer#69",
    "hyunwoongko/transformer#40",
    "jadore801120/attention-is-all-you-need-pytorch#57",
    "zai-org/GLM-4-Voice#182",
)


def _padded_queries(c: Computation) -> Bool | None:
    """[n_batch, 1, n_q, 1]: False where the query's own key is padding; None if there are none, or
    the queries are no tokens of the keys' text."""
    if c.masking.keys is None or not (c.masking.causal or c.n_q == c.n_k):
        return None
    keys = c.masking.keys[:, 0, 0]  # [n_batch, n_k]
    own = np.arange(c.n_q) + np.reshape(c.masking.offset, (-1, 1))
    n = max(len(own), len(keys))
    own, keys = np.broadcast_to(own, (n, c.n_q)), np.broadcast_to(keys, (n, c.n_k))
    real = np.take_along_axis(keys, own.clip(0, c.n_k - 1), 1)
    real = np.where((own >= 0) & (own < c.n_k), real, True)
    return None if real.all() else np.asarray(real[:, None, :, None])


@MISTAKES.add(
    id="M10",
    family="mask",
    title=to_say("the padding mask on the queries, not on the keys"),
    computed="softmax(where(query i is no padding, S, −∞)) V",
    wanted=RIGHT,
    fix="mask[:, None, None, :]  # [batch, 1, 1, n_k], not [batch, 1, n_q, 1]",
    threads=ON_QUERIES,
    pairs=True,
    rarity=3,
)
def padding_on_queries(c: Computation) -> Iterator[Variant]:
    """Padded keys are attended to, and padded queries see nothing."""
    real = _padded_queries(c)
    if real is not None and step_that_hides(c):
        real = real if c.masking.queries is None else real & c.masking.queries
        yield Variant(c.with_masking(keys=None, queries=real))


@MISTAKES.add(
    id="M10",
    family="mask",
    title=to_say("padded queries masked as well as padded keys (harmless if nobody reads them)"),
    computed="softmax(where(key and query are no padding, S, −∞)) V",
    wanted=RIGHT,
    fix=to_say("nothing, if the outputs of padded queries are not used"),
    threads=ON_QUERIES,
    rarity=2,
)
def padded_queries_masked(c: Computation) -> Iterator[Variant]:
    """Only the rows of padded queries differ: zero where they were left out and put back."""
    real = _padded_queries(c)
    if real is not None and step_that_hides(c) and c.masking.queries is None:
        yield Variant(c.with_masking(queries=real))


# queries that see no key


@MISTAKES.add(
    id="M12",
    family="mask",
    title=to_say("NaN where a query sees no key"),
    computed="softmax of a row of −∞: 0/0",
    wanted="0 where a query sees no key",
    fix=to_say(
        "harmless where such a query is padding that nobody reads; else set its weights to 0: "
        "weights.masked_fill(~mask.any(-1, keepdim=True), 0)"
    ),
    threads=(
        "ml-explore/mlx#2395",
        "tracel-ai/burn#4697",
        "robertknight/rten#1321",
        "pytorch/pytorch#103963",
        "pytorch/pytorch#103749",
        "pytorch/pytorch#24816",
    ),
    rarity=2,
)
def nan_rows(c: Computation) -> Iterator[Variant]:
    """-inf - -inf in a softmax that takes no care."""
    if empty_rows(c):
        yield Variant(instead_of_hiding(c, nan_where_empty), {"empty_rows": "nan"})


@MISTAKES.add(
    id="M12",
    family="mask",
    title=to_say("the mean of all values where a query sees no key"),
    computed="softmax(where(visible, S, −1e9)) V, all of a row masked: 1/n_k each",
    wanted="0 where a query sees no key",
    fix=to_say(
        "harmless where such a query is padding that nobody reads; else mask with −∞, not −1e9 or "
        "finfo.min, and set the weights of a query that sees no key to 0"
    ),
    threads=("onnx/onnx#8068", "tracel-ai/burn#4697", "pytorch/pytorch#131060"),
    rarity=2,
)
def uniform_rows(c: Computation) -> Iterator[Variant]:
    """A finite fill, so large that all keys of such a row have the same score."""
    if empty_rows(c):
        for finite, parameter, words in finite_parts(c.masking):
            for last in (False, True) if finite else (False,):
                changed = instead_of_hiding(c, where_empty(finite, alike=True, last=last))
                more = {"last": True} if last else {}
                yield Variant(changed, {"empty_rows": "uniform", **parameter, **more}, words)


@MISTAKES.add(
    id="M12",
    family="mask",
    title=to_say("attention as if there were no mask, where a query sees no key"),
    computed="softmax(S − 1e4) V = softmax(S) V where all of a row is masked",
    wanted="0 where a query sees no key",
    fix=to_say(
        "harmless where such a query is padding that nobody reads; else mask with −∞, not −1e4, "
        "and set the weights of a query that sees no key to 0"
    ),
    threads=("onnx/onnx#8068", "pytorch/pytorch#103963"),
    rarity=3,
)
def unmasked_rows(c: Computation) -> Iterator[Variant]:
    """A finite number is added to every score of such a row, and cancels."""
    if not empty_rows(c):
        return
    parameter = {"empty_rows": "unmasked"}
    for finite, more, words in finite_parts(c.masking):
        changed = instead_of_hiding(c, where_empty(finite))
        yield Variant(changed, {**parameter, **more}, words)
    yield Variant(instead_of_hiding(c, rounded_where_empty), {**parameter, "fill": ROUGH})
    if len(c.masking.parts) > 1:
        words = to_say("among the keys that the fewest masks hide")
        parameter = {**parameter, "masks": "added"}
        yield Variant(instead_of_hiding(c, _least_hidden(True)), parameter, words)


def _least_hidden(scores_count: bool) -> Step:
    """One finite number for each mask that hides a key, added up: a row in which every key is
    hidden keeps those that the fewest hide, by their scores or all alike."""

    @hiding
    def step(x: Array, c: Computation) -> Array:
        hidden = sum(
            (~seen_by(c.masking.only(part), c)).astype(np.int8) for part in c.masking.parts
        )
        hidden = np.asarray(hidden)
        kept = hidden == hidden.min(-1, keepdims=True)
        empty = ~seen_by(c.masking, c).any(-1, keepdims=True)
        if not scores_count:
            x = np.where(empty, x.dtype.type(0), x)
        return np.where(kept, x, x.dtype.type(-np.inf))

    return step


@MISTAKES.add(
    id="M15",
    family="mask",
    title=to_say("two masks of finfo.min added up: −∞ where both hide a key"),
    computed="softmax(S + finfo.min + finfo.min) V",
    wanted="0 where a query sees no key",
    fix=to_say("combine the boolean masks, and fill once"),
    threads=("NVIDIA-NeMo/Automodel#2658", "huggingface/transformers#31303"),
    rarity=6,
)
def two_masks_added(c: Computation) -> Iterator[Variant]:
    """A query that sees no key gets the mean of the values that only one mask hides."""
    if len(c.masking.parts) > 1 and empty_rows(c):
        yield Variant(instead_of_hiding(c, _least_hidden(False)))


@MISTAKES.add(
    id="M12",
    family="mask",
    title=to_say("every key hidden from every query: the mean of all values"),
    computed="softmax(−1e9 everywhere) V: 1/n_k each",
    wanted=RIGHT,
    fix="mask = ~mask.bool()  # ~1 is 254 in uint8 and -2 in int64, which are true as well",
    rarity=6,
)
def everything_hidden(c: Computation) -> Iterator[Variant]:
    """`~` of whole numbers is never 0."""
    if step_that_hides(c) and c.sinks is None:
        everything = misread(c, np.zeros_like)
        yield Variant(instead_of_hiding(everything, where_empty(alike=True)))


# NaN and overflow


def _nan_where_visible(part: Masking) -> Step:
    """0 · −∞ at every visible key."""

    def step(x: Array, c: Computation) -> Array:
        seen = seen_by(part, c)
        return np.asarray(np.where(seen, x.dtype.type(np.nan), x.dtype.type(-np.inf)))

    return step


@MISTAKES.add(
    id="M16",
    family="mask",
    title=to_say("(1 − mask) · −∞: 0 · −∞ is NaN at every visible key"),
    computed="softmax(S + (1 − visible) · −∞) V",
    wanted=RIGHT,
    fix="torch.where(mask, 0.0, float('-inf'))  # no product with infinity",
    threads=("onnx/onnx#8068",),
    rarity=4,
)
def zero_times_infinity(c: Computation) -> Iterator[Variant]:
    """Every row that sees a key is NaN."""
    if step_that_hides(c):
        yield Variant(applied_otherwise(c, c.masking.parts, _nan_where_visible))


def _all_nan(x: Array, c: Computation) -> Array:
    return np.full_like(x, np.nan)


@MISTAKES.add(
    id="M14",
    family="mask",
    title=to_say("a fill of −1e9 in float16, where it is −∞"),
    computed="softmax(S + (1 − visible) · −1e9) V in float16: −1e9 → −∞",
    wanted=RIGHT,
    fix="torch.finfo(scores.dtype).min, or softmax in float32",
    threads=(
        "ahrefs/ocannl#548",
        "tatp22/linformer-pytorch#19",
        "openai/gpt-2#122",
        "facebookresearch/fairseq#3575",
        "NVIDIA/apex#93",
        "PaddlePaddle/PaddleNLP#1585",
    ),
    rarity=5,
)
def fill_overflows(c: Computation) -> Iterator[Variant]:
    """NaN in rows without a key; everywhere, if it is a factor of 1 − mask."""
    if empty_rows(c):
        yield Variant(instead_of_hiding(c, nan_where_empty), {"empty_rows": "nan"})
    if step_that_hides(c):
        words = to_say("as a factor of 1 − mask: 0 · −∞ is NaN")
        yield Variant(
            applied_otherwise(c, c.masking.parts, lambda part: _all_nan), {"factor": True}, words
        )


# laid out wrongly


@MISTAKES.add(
    id="M11",
    family="mask",
    title=to_say(
        "a mask tiled over the heads: most heads have the mask of another item of the batch"
    ),
    computed="head h of item b uses mask[(b·n_head + h) mod n_batch]",
    wanted="head h of item b uses mask[b]",
    fix="mask.repeat_interleave(n_head, 0)  # [batch · n_head, n_q, n_k]",
    threads=(
        "ArrowLuo/CLIP4Clip#22",
        "line/lighthouse#77",
        "reczoo/FuxiCTR#130",
        "lsdefine/attention-is-all-you-need-keras#36",
        "junliu621/PPLM#6",
    ),
    pairs=True,
    rarity=3,
)
def mask_tiled(c: Computation) -> Iterator[Variant]:
    """Of a mask with three axes, [n_batch · n_head, n_q, n_k]."""
    n_batch = len(c.q)
    if c.n_head > 1 and _differs(c, 0) and not _differs(c, 1):
        items = np.arange(n_batch * c.n_head).reshape(n_batch, -1) % n_batch
        yield Variant(misread(c, lambda seen: np.asarray(_of_all(seen, n_batch)[items, 0])))


def _of_all(seen: Bool, n_batch: int) -> Bool:
    """A mask, or a part of one that is the same for all items, of each item."""
    return np.broadcast_to(seen, (n_batch, *seen.shape[1:]))


def _differs(c: Computation, axis: int) -> bool:
    """Whether the mask differs between the items of the batch (axis 0) or the heads (1), in some of
    the rows."""
    if step_that_hides(c) is None:
        return False
    seen = c.masking.visible(np.unique(np.linspace(0, c.n_q - 1, 64).astype(int)), c.n_k)
    assert seen is not None
    return bool((seen != seen.take([0], axis)).any())


@MISTAKES.add(
    id="M23",
    family="mask",
    title=to_say("the mask of another item of the batch"),
    computed="item b uses the mask of {item}",
    wanted="item b uses mask[b]",
    fix="mask[:, None]  # one mask for each item, [batch, 1, n_q or 1, n_k]",
    threads=("pytorch/pytorch#184180", "harvard-edge/cs249r_book#1875"),
    rarity=4,
)
def mask_of_another_item(c: Computation) -> Iterator[Variant]:
    """mask[0] for all; or the mask's batch axis lies where the heads are; or it is shifted."""
    if not _differs(c, 0):
        return
    n_batch = len(c.q)
    yield Variant(misread(c, lambda seen: seen[:1]), {"item": "item 0"}, to_say("always the first"))
    if n_batch == c.n_head and not _differs(c, 1):
        words = to_say("the batch axis of the mask taken for the heads")
        yield Variant(misread(c, lambda seen: seen.swapaxes(0, 1)), {"item": "item h"}, words)
    for by, item in ((-1, "item b + 1"), (1, "item b − 1"))[: n_batch - 1 or 1]:
        parameter, words = {"item": item}, to_say("that of the item beside it")
        yield Variant(misread(c, _rolled(by)), parameter, words)


def _rolled(by: int) -> Callable[[Bool], Bool]:
    return lambda seen: np.roll(seen, by, 0)


@MISTAKES.add(
    id="M23",
    family="mask",
    title=to_say("the mask of another head"),
    computed="head h uses the mask of {head}",
    wanted="head h uses mask[:, h]",
    fix="mask.reshape(batch, n_head, n_q, n_k)  # index b · n_head + h",
    threads=("pytorch/pytorch#184180",),
    rarity=6,
)
def mask_of_another_head(c: Computation) -> Iterator[Variant]:
    """The first head's for all; or [n_batch · n_head] counted as [n_head · n_batch]."""
    if not _differs(c, 1):
        return
    yield Variant(
        misread(c, lambda seen: seen[:, :1]), {"head": "head 0"}, to_say("always the first")
    )
    n_batch = len(c.q)
    if n_batch > 1:
        counted = np.arange(n_batch * c.n_head)
        item, head = np.divmod(counted.reshape(c.n_head, n_batch).T, c.n_head)
        words = to_say("counted as h · n_batch + b")
        parameter = {"head": "head (h · n_batch + b) mod n_head"}
        yield Variant(misread(c, _at(item, head)), parameter, words)
        head, item = np.divmod(counted.reshape(n_batch, c.n_head), n_batch)
        words = to_say("stored as h · n_batch + b, read as b · n_head + h")
        parameter = {"head": "head ⌊(b · n_head + h) / n_batch⌋"}
        yield Variant(misread(c, _at(item, head)), parameter, words)


def _at(item: Array, head: Array) -> Callable[[Bool], Bool]:
    """The masks at these items and heads, [n_batch, n_head] each."""

    def read(seen: Bool) -> Bool:
        return np.asarray(np.broadcast_to(seen, (*item.shape, *seen.shape[2:]))[item, head])

    return read


@MISTAKES.add(
    id="M23",
    family="mask",
    title=to_say("the mask in {only} only"),
    computed="softmax(where(visible, S, −∞)) V in {only}, softmax(S) V elsewhere",
    wanted=RIGHT,
    fix="mask[:, None]  # [batch, 1, n_q or 1, n_k] is taken for all heads",
    threads=("pytorch/pytorch#184180",),
    rarity=6,
)
def mask_in_one_place(c: Computation) -> Iterator[Variant]:
    """It is written into the scores of the first head, or of the first item of the batch."""
    if step_that_hides(c) is None:
        return
    first_head = np.arange(c.n_head)[:, None, None] == 0
    first_item = np.arange(len(c.q))[:, None, None, None] == 0
    seen = c.masking.visible(np.unique(np.linspace(0, c.n_q - 1, 64).astype(int)), c.n_k)
    for only, first in (("head 0", first_head), ("item 0", first_item)):
        hides = seen is not None and not (seen | ~first).all()
        if first.size > 1 and hides:
            yield Variant(misread(c, _seen_outside(first)), {"only": only})


def _seen_outside(first: Bool) -> Callable[[Bool], Bool]:
    return lambda seen: seen | ~first


@MISTAKES.add(
    id="M25",
    family="mask",
    title=to_say("the masks of the items in another order: {order}"),
    computed="item b uses the mask at {order}",
    wanted="item b uses mask[b]",
    fix="windows lie inside images: mask.repeat(n_image, 1, 1), after x.view(n_image, n_window, …)",
    threads=(
        "zsyOAOA/ResShift#81",
        "huggingface/pytorch-image-models#2438",
        "JingyunLiang/SwinIR#153",
    ),
    detect="parameter",
    rarity=6,
)
def masks_of_windows_in_another_order(c: Computation) -> Iterator[Variant]:
    """The items are windows of several images, whose masks are counted image first or window
    first."""
    n_batch = len(c.q)
    if n_batch < 4 or not _differs(c, 0):
        return
    for n in [n for n in range(2, n_batch) if n_batch % n == 0][:6]:
        order = np.arange(n_batch).reshape(n, -1).T.ravel()
        words = f"(b mod {n}) · {n_batch // n} + ⌊b/{n}⌋"
        yield Variant(misread(c, _in_order(order)), {"n": n, "order": words})


def _in_order(items: Array) -> Callable[[Bool], Bool]:
    return lambda seen: np.asarray(_of_all(seen, len(items))[items])


LARGEST = 1 << 26
"""Cells of a mask that is built as a whole."""


@MISTAKES.add(
    id="M23",
    family="mask",
    title=to_say("the mask transposed: rows taken for columns"),
    computed="softmax(where(visibleᵀ, S, −∞)) V",
    wanted=RIGHT,
    fix="mask[..., query, key]: rows are queries; no .T and no reshape that swaps them",
    threads=("harvard-edge/cs249r_book#1875", "sooftware/attentions#4"),
    pairs=True,
    rarity=4,
)
def mask_transposed(c: Computation) -> Iterator[Variant]:
    """Key j is visible to query i where key i should be to query j; where there are more keys than
    queries, the numbers of the transposed mask are read row by row."""
    if step_that_hides(c) is None or c.n_q == 1 or c.masking.parts == ("padding",):
        return  # the transposed mask of padding is that of the queries
    seen = None
    if c.n_q * c.n_k * len(c.q) <= LARGEST:
        seen = c.masking.visible(np.arange(c.n_q), c.n_k)
    if seen is None:
        return
    turned = np.ascontiguousarray(seen.swapaxes(-1, -2)).reshape(seen.shape)
    if not np.array_equal(turned, seen):
        yield Variant(replace(c, masking=Masking(custom=turned)))


@MISTAKES.add(
    id="M23",
    family="mask",
    title=to_say("the padding masked on the wrong side"),
    computed="softmax(where(visible[::-1], S, −∞)) V",
    wanted=RIGHT,
    fix=to_say("mask by the tokens (tokens != pad), not by lengths: padding may be on the left"),
    threads=(),
    rarity=5,
)
def padding_on_the_other_side(c: Computation) -> Iterator[Variant]:
    """The mask is made for padding on the right, and the texts are padded on the left, or the other
    way round."""
    keys = c.masking.keys
    if step_that_hides(c) and keys is not None and not np.array_equal(keys, keys[..., ::-1]):
        yield Variant(c.with_masking(keys=keys[..., ::-1]))


@MISTAKES.add(
    id="T1",
    family="mask",
    title=to_say("the padding mask one key off"),
    computed="softmax(where(j < length{by:+d}, S, −∞)) V",
    wanted="softmax(where(j < length, S, −∞)) V, S = QKᵀ/√d_k",
    fix="positions < length  # positions count from 0",
    threads=(),
    rarity=4,
)
def padding_one_key_off(c: Computation) -> Iterator[Variant]:
    """One padded key beside each text is seen, or its last one hidden."""
    keys = c.masking.keys
    if step_that_hides(c) is None or keys is None:
        return
    for side, edge, shift in (("right", -1, 1), ("left", 0, -1)):
        if keys[..., edge].all():
            continue
        longer, shorter = keys | _moved(keys, shift), keys & _moved(keys, -shift)
        for by, changed in ((1, longer), (-1, shorter)):
            words = to_say("one more key is seen") if by == 1 else to_say("one key fewer is seen")
            yield Variant(c.with_masking(keys=changed), {"by": by, "side": side}, words)


def _moved(keys: Bool, by: int) -> Bool:
    """keys [..., n_k], each one place later (1) or earlier (-1); nothing comes in at the end."""
    moved = np.roll(keys, by, -1)
    moved[..., 0 if by == 1 else -1] = False
    return moved


# what belongs together


@MISTAKES.add(
    id="M24",
    family="mask",
    title=to_say("a causal mask where none is wanted"),
    computed="softmax(where(j ≤ i, S, −∞)) V",
    wanted="softmax(S) V, S = QKᵀ/√d_k",
    fix=to_say(
        "is_causal=False in encoders and in cross-attention, whose mask is the memory's padding"
    ),
    threads=(
        "Kamichanw/SeekDeeper#3",
        "facebookresearch/detr#528",
        "bentrevett/pytorch-seq2seq#143",
        "NVIDIA/FasterTransformer#270",
        "NVIDIA/FasterTransformer#400",
    ),
    pairs=True,
    rarity=3,
)
def target_mask_on_memory(c: Computation) -> Iterator[Variant]:
    """The target's own mask, where the memory's padding alone should hide keys."""
    if c.masking.causal or c.masking.right is not None or c.n_q == 1:
        return
    for offset in dict.fromkeys((0, c.n_k - c.n_q)):
        parameter = {"offset": offset}
        causal = c.with_masking(causal=True, offset=offset)
        yield Variant(causal, parameter)
        if "padding" in c.masking.parts:
            words = to_say("and without the padding mask")
            bare = causal.with_masking(keys=None)
            yield Variant(bare, {**parameter, "part": "padding"}, words)


@MISTAKES.add(
    id="M21",
    family="mask",
    title=to_say("packed texts that attend to one another"),
    computed="softmax(S) V over all texts",
    wanted="softmax(where(same text, S, −∞)) V, S = QKᵀ/√d_k",
    fix=to_say("a block-diagonal mask, or the cu_seqlens of the texts"),
    threads=(
        "axolotl-ai-cloud/axolotl#3796",
        "huggingface/nanoVLM#204",
        "ServiceNow/Fast-LLM#177",
        "volcengine/verl#7137",
        "PrimeIntellect-ai/prime-rl#2943",
    ),
    pairs=True,
    rarity=3,
)
def packed_texts_seen(c: Computation) -> Iterator[Variant]:
    """The borders are forgotten; the causal rule goes on across them."""
    if step_that_hides(c) and c.masking.segments is not None:
        yield Variant(replace(c, masking=c.masking.without("segments")))


@MISTAKES.add(
    id="M21",
    family="mask",
    title=to_say("packed texts with their borders in the wrong place"),
    computed="softmax(where(same text by wrong borders, S, −∞)) V",
    wanted="softmax(where(same text, S, −∞)) V, S = QKᵀ/√d_k",
    fix="cu_seqlens = [0, *cumsum(lengths)]",
    threads=("huggingface/transformers#44911", "volcengine/verl#7137", "ServiceNow/Fast-LLM#177"),
    detect="parameter",
    rarity=5,
)
def packed_borders_off(c: Computation) -> Iterator[Variant]:
    """Every border one token too late or too early; or one border missing."""
    if step_that_hides(c) is None or c.masking.segments is None:
        return
    segments = c.masking.segments
    for by in (1, -1):
        words = to_say("one token too late") if by == 1 else to_say("one token too early")
        shifted = Segments(*(_shifted(each, by) for each in segments))
        yield Variant(c.with_masking(segments=shifted), {"by": by}, words)
    for text in np.unique(segments.keys)[1:9]:
        merged = Segments(*(np.where(each >= text, each - 1, each) for each in segments))
        words = to_say("the border before text {text} is missing", text=int(text))
        yield Variant(c.with_masking(segments=merged), {"border": int(text)}, words)


def _shifted(texts: Array, by: int) -> Array:
    """x [..., n], later or earlier by so many places; what comes in is like the end."""
    edge = texts[..., :1] if by > 0 else texts[..., -1:]
    edge = np.repeat(edge, abs(by), -1)
    halves = (edge, texts[..., :-by]) if by > 0 else (texts[..., -by:], edge)
    return np.concatenate(halves, -1)
