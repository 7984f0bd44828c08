"""A softmax over the wrong axis, with the wrong denominator, or none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step, hide, to_weights
from attnviz.analysis.diagnose.mistakes.scale import before, is_scale
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array

WANTED = "softmax(x) over the keys, x = QKᵀ/√d_k + mask"
FILL = -1e9
"""What stands for -inf in code that masks with a finite number."""

LARGEST = {"float32": 88.72, "float16": 11.09}
"""The largest number of which exp is finite in a type."""
SMALLEST = {"float32": -103.97, "float16": -17.33}
"""The smallest number of which exp is not 0."""

SPLITS = (2, 3, 4, 8, 16, 32)


def gives_weights(step: Step) -> Step:
    """Mark a step that takes the place of the softmax."""
    step.gives_weights = True  # type: ignore[attr-defined]
    return step


def weighted_by(c: Computation, step: Step) -> Computation:
    """With another step in the place of the softmax."""
    return c.instead_of(to_weights, gives_weights(step))


def hidden(x: Array) -> Array:
    """Where a key is masked: x [...] -> bool [...]"""
    return np.asarray(np.isneginf(x))


# over the wrong axis


def softmax_over(axes: tuple[int, ...], masked: str) -> Step:
    """Softmax over axes of [n_batch, n_head, n_row, n_k]. `masked` is what becomes of cells that
    are masked all along these axes: `finite` where the mask is a large negative number, `nan`
    where it is -inf, or `zero`."""

    def step(x: Array, c: Computation) -> Array:
        if masked == "finite":
            x = np.where(hidden(x), x.dtype.type(FILL), x)
        peak = x.max(axes, keepdims=True)
        if masked == "zero":
            peak = np.where(np.isneginf(peak), 0, peak)
        powers = np.exp(x - peak)
        total = powers.sum(axes, keepdims=True)
        return np.asarray(powers / (np.where(total == 0, 1, total) if masked == "zero" else total))

    return step


def over(c: Computation, axes: tuple[int, ...], **parameter: str) -> Iterator[Variant]:
    """A softmax over other axes, with what may become of masked cells."""
    if to_weights not in c.steps:
        return
    seen = c.visible()
    some_empty = seen is not None and not seen.any(axes).all()
    for masked in ("finite", "nan", "zero") if some_empty else ("zero",):
        named = {**parameter, "masked": masked} if some_empty else parameter
        step = softmax_over(axes, masked)
        yield Variant(replace(weighted_by(c, step), mixes_rows=2 in axes or c.mixes_rows), named)


@MISTAKES.add(
    id="X1",
    family="softmax",
    title=to_say("the softmax over the queries, not over the keys"),
    computed="softmax(x, axis of the queries): the columns sum to 1",
    wanted=WANTED,
    fix="weights = softmax(scores, dim=-1), where scores is [..., n_q, n_k]",
    threads=(
        "labmlai/annotated_deep_learning_paper_implementations#146",
        "FudanNLP/fastNLP#254",
        "nerdai/llms-from-scratch-rs#30",
        "catalyst-team/catalyst#285",
    ),
    pairs=True,
    rarity=2,
)
def softmax_over_queries(c: Computation) -> Iterator[Variant]:
    """Each column sums to 1, and no row has to."""
    if c.n_q > 1:
        yield from over(c, (2,))


@MISTAKES.add(
    id="X2",
    family="softmax",
    title=to_say("the softmax over the batch, not over the keys"),
    computed="softmax(x, axis of {axis}): a batch of one gives only ones",
    wanted=WANTED,
    fix="weights = softmax(scores, dim=-1): dim=0 is the batch, and with no dim torch takes 0 or 1",
    threads=("PetrochukM/PyTorch-NLP#2", "DEEP-PolyU/KEQA_WSDM19#2"),
    rarity=4,
)
def softmax_over_batch(c: Computation) -> Iterator[Variant]:
    """Over the items of the batch, or over the heads of all items, [n_batch·n_head, n_q, n_k]."""
    yield from over(c, (0,), axis="the batch")
    if c.n_head > 1:
        yield from over(c, (0, 1), axis="the batch and the heads")


@MISTAKES.add(
    id="X3",
    family="softmax",
    title=to_say("the softmax over the heads, not over the keys"),
    computed="softmax(x, axis of the heads)",
    wanted=WANTED,
    fix="weights = softmax(scores, dim=-1): of [n_batch, n_head, n_q, n_k], dim=1 is the heads",
    threads=("facebookresearch/detr#247",),
    rarity=4,
)
def softmax_over_heads(c: Computation) -> Iterator[Variant]:
    """The heads compete for each key; in torch, dim=None means this of four axes."""
    if c.n_head > 1:
        yield from over(c, (1,))


@MISTAKES.add(
    id="X3",
    family="softmax",
    title=to_say("one softmax over all heads and keys"),
    computed="softmax(x, axes of the heads and the keys): a row sums to less than 1 in each head",
    wanted=WANTED,
    fix="scores.flatten(3).softmax(-1), not flatten(2): the heads keep an axis of their own",
    threads=("facebookresearch/detr#247",),
    rarity=4,
)
def softmax_over_heads_and_keys(c: Computation) -> Iterator[Variant]:
    """The weights of a query sum to 1 over all heads together."""
    if c.n_head > 1:
        yield from over(c, (1, 3))


# the wrong denominator


def exp_unshifted(dtype: str) -> Step:
    """exp(x) / Σ exp(x) where exp overflows and vanishes as in a type."""

    def step(x: Array, c: Computation) -> Array:
        powers = np.exp(np.where(x > LARGEST[dtype], np.inf, x))
        powers = np.where(x < SMALLEST[dtype], 0, powers)
        total = powers.sum(-1, keepdims=True)
        return np.asarray(powers / np.where(total > np.finfo(dtype).max, np.inf, total))

    return step


@MISTAKES.add(
    id="X4",
    family="softmax",
    title=to_say("a softmax that does not subtract the maximum, in {dtype}"),
    computed="exp(x) / Σ exp(x): inf/inf = NaN where x > {largest}",
    wanted="exp(x - max x) / Σ exp(x - max x)",
    fix="scores = scores - scores.max(-1, keepdim=True), before exp",
    threads=("pytorch/executorch#18407", "intel/xFasterTransformer#326"),
    detect="weights",
    rarity=4,
)
def no_max_subtracted(c: Computation) -> Iterator[Variant]:
    """Rows with a large score are NaN; all others are right."""
    if to_weights not in c.steps or c.sinks is not None:
        return
    highest = largest_logit(c)
    for dtype, largest in LARGEST.items():
        if highest > largest:
            named = {"dtype": dtype, "largest": largest}
            yield Variant(weighted_by(c, exp_unshifted(dtype)), named)


def largest_product(c: Computation) -> float:
    """What no |q · k| exceeds: the largest |q| times the largest |k|."""
    q, k = (float(np.einsum("...d,...d->...", x, x).max(initial=0)) for x in (c.q, c.k))
    return math.sqrt(q) * math.sqrt(k)


def largest_logit(c: Computation) -> float:
    """What no |logit| exceeds, -inf aside."""
    bias = 0.0 if c.bias is None else float(np.abs(c.bias[np.isfinite(c.bias)]).max(initial=0))
    scores = largest_product(c) * float(np.abs(c.scale).max())
    return (min(scores, abs(c.softcap)) if c.softcap else scores) + bias


def one_after_shift(x: Array, c: Computation) -> Array:
    """exp(x - m) / (1 + Σ exp(x - m))"""
    peak = x.max(-1, keepdims=True)
    powers = np.exp(x - np.where(np.isneginf(peak), 0, peak))
    return np.asarray(powers / (1 + powers.sum(-1, keepdims=True)))


def is_plain(c: Computation) -> bool:
    """Whether the wanted softmax has no sinks."""
    return c.sinks is None and to_weights in c.steps


@MISTAKES.add(
    id="X5",
    family="softmax",
    title=to_say("a 1 in the denominator, added after the maximum is subtracted"),
    computed="exp(x - m) / (1 + Σ exp(x - m)), m = max x",
    wanted="exp(x - m) / Σ exp(x - m), or with exp(-m) + Σ … where a softmax-one is wanted",
    fix="the 1 of softmax-one becomes exp(-m) when x is shifted by m",
    threads=("kyegomez/AttentionIsOFFByOne#5", "kyegomez/AttentionIsOFFByOne#2"),
    rarity=6,
)
def one_added_after_shift(c: Computation) -> Iterator[Variant]:
    """Even the strongest key gets at most half of the weight."""
    if is_plain(c) or (to_weights in c.steps and c.sinks is not None and not np.any(c.sinks)):
        yield Variant(weighted_by(c, one_after_shift))


@MISTAKES.add(
    id="X5",
    family="softmax",
    title=to_say("a 1 in the denominator of the softmax (softmax-one)"),
    computed="exp(x) / (1 + Σ exp(x))",
    wanted="exp(x) / Σ exp(x)",
    fix="leave out the 1, and in torch the option add_zero_attn: the model was trained without it",
    threads=("kyegomez/AttentionIsOFFByOne#5",),
    rarity=6,
)
def softmax_one(c: Computation) -> Iterator[Variant]:
    """As if there were one key more whose score and value are 0."""
    if is_plain(c):
        yield Variant(replace(c, sinks=np.zeros(c.n_head, c.q.dtype)))


WITH_SINKS = "exp(x) / (exp(sink) + Σ exp(x))"


@MISTAKES.add(
    id="X6",
    family="softmax",
    title=to_say("the attention sinks left out"),
    computed="exp(x) / Σ exp(x)",
    wanted=WITH_SINKS,
    fix="pass the sinks [n_head] to the kernel: they enter the denominator only",
    threads=(
        "vllm-project/vllm-metal#550",
        "ROCm/rocm-libraries#12229",
        "fla-org/flash-linear-attention#831",
    ),
    detect="more",
    rarity=2,
)
def sinks_ignored(c: Computation) -> Iterator[Variant]:
    """The rows sum to 1, where they should sum to less."""
    if c.sinks is not None:
        yield Variant(replace(c, sinks=None))


@MISTAKES.add(
    id="X6",
    family="softmax",
    title=to_say("the attention sinks counted {times} times"),
    computed="exp(x) / ({times} · exp(sink) + Σ exp(x))",
    wanted=WITH_SINKS,
    fix="count the sink in one split of the keys only, or when the splits are merged",
    threads=("ROCm/rocm-libraries#12229",),
    detect="more",
    rarity=5,
)
def sinks_in_every_split(c: Computation) -> Iterator[Variant]:
    """Each part of the keys adds the sink to its own denominator."""
    if c.sinks is not None:
        for n in SPLITS:
            yield Variant(replace(c, sinks=c.sinks + math.log(n)), {"times": n})


@MISTAKES.add(
    id="X6",
    family="softmax",
    title=to_say("the attention sinks multiplied by a factor: {factor}"),
    computed="exp(x) / (exp(sink · {factor}) + Σ exp(x))",
    wanted=WITH_SINKS,
    fix="the sink is a logit as it is: no scale; with exp2 it needs log2(e), as the scores do",
    threads=("ROCm/rocm-libraries#12229",),
    detect="more",
    rarity=5,
)
def sinks_scaled(c: Computation) -> Iterator[Variant]:
    """The sink is scaled as the scores are, or is in the wrong base."""
    if c.sinks is None:
        return
    if isinstance(c.scale, float | int) and not is_scale(c, 1):
        yield Variant(replace(c, sinks=c.sinks * c.scale), {"factor": "scale"})
        yield Variant(replace(c, sinks=c.sinks / c.scale), {"factor": "1/scale"})
    yield Variant(replace(c, sinks=c.sinks * math.log(2)), {"factor": "ln 2"})
    yield Variant(replace(c, sinks=c.sinks / math.log(2)), {"factor": "log2(e)"})


@MISTAKES.add(
    id="X6",
    family="softmax",
    title=to_say("the attention sinks of other heads"),
    computed="exp(x) / (exp(sink[{heads}]) + Σ exp(x))",
    wanted="exp(x) / (exp(sink[h]) + Σ exp(x)), h the query head",
    fix="sinks.reshape(n_kv_head, n_head // n_kv_head): head h = kv_head · group + member",
    threads=(),
    detect="more",
    rarity=7,
)
def sinks_of_other_heads(c: Computation) -> Iterator[Variant]:
    """One sink for all heads, or sinks whose group and member changed places."""
    if c.sinks is None or c.n_head < 2:
        return
    first = np.repeat(c.sinks[..., :1], c.n_head, -1)
    yield Variant(replace(c, sinks=first), {"heads": "0"})
    groups = c.sinks.reshape(c.n_kv_head, -1)
    if 1 < c.n_kv_head < c.n_head:
        yield Variant(
            replace(c, sinks=groups.T.reshape(-1)),
            {"heads": "h % n_kv_head · group + h // n_kv_head"},
        )


# no softmax, or not only one


def seen_only(function: Step) -> Step:
    """0 where a key is masked, a function of the scores elsewhere."""

    def step(x: Array, c: Computation) -> Array:
        masked = hidden(x)
        return np.asarray(np.where(masked, 0, function(np.where(masked, 0, x), c)))

    return step


def count(x: Array) -> Array:
    """How many keys each query sees, [..., n_row, 1], and at least 1."""
    return np.asarray(np.maximum((~hidden(x)).sum(-1, keepdims=True), 1), x.dtype)


def plain_scores(x: Array, c: Computation) -> Array:
    return seen_only(lambda s, _: s)(x, c)


def scores_over_n_k(x: Array, c: Computation) -> Array:
    return plain_scores(x, c) / c.n_k


def scores_over_visible(x: Array, c: Computation) -> Array:
    return np.asarray(plain_scores(x, c) / count(x))


@MISTAKES.add(
    id="X11",
    family="softmax",
    title=to_say("no softmax"),
    computed="{formula}",
    wanted="softmax(x) V",
    fix="weights = softmax(scores, dim=-1), before weights @ v",
    rarity=4,
)
def no_softmax(c: Computation) -> Iterator[Variant]:
    """The scores themselves are the weights."""
    if to_weights not in c.steps:
        return
    yield Variant(weighted_by(c, plain_scores), {"formula": "x V"})
    yield Variant(weighted_by(c, scores_over_n_k), {"formula": "x V / n_k"})
    if not c.masking.is_empty:
        formula = {"formula": "x V / number of visible keys"}
        yield Variant(weighted_by(c, scores_over_visible), formula)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)): x [...] -> [...]."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def sigmoid_weights(x: Array, c: Computation) -> Array:
    return sigmoid(x)


def sigmoid_by_count(x: Array, c: Computation) -> Array:
    return sigmoid(x - np.log(x.dtype.type(c.n_k)))


@MISTAKES.add(
    id="X11",
    family="softmax",
    title=to_say("a sigmoid in the place of the softmax"),
    computed="{formula} V",
    wanted="softmax(x) V",
    fix="weights = softmax(scores, dim=-1): a sigmoid does not make a row sum to 1",
    rarity=5,
)
def sigmoid_for_softmax(c: Computation) -> Iterator[Variant]:
    """Each weight is made from its own score alone."""
    if to_weights in c.steps:
        yield Variant(weighted_by(c, sigmoid_weights), {"formula": "σ(x)"})
        yield Variant(weighted_by(c, sigmoid_by_count), {"formula": "σ(x - ln n_k)"})


def exp_alone(x: Array, c: Computation) -> Array:
    return np.asarray(np.exp(x))


def exp_shifted_alone(x: Array, c: Computation) -> Array:
    peak = x.max(-1, keepdims=True)
    return np.asarray(np.exp(x - np.where(np.isneginf(peak), 0, peak)))


def exp_over_count(x: Array, c: Computation) -> Array:
    return exp_shifted_alone(x, c) / c.n_k


@MISTAKES.add(
    id="X11",
    family="softmax",
    title=to_say("exponentials that are not divided by their sum"),
    computed="{formula} V",
    wanted="exp(x - m) / Σ exp(x - m) V, m = max x",
    fix="divide by the sum over the keys: powers / powers.sum(-1, keepdim=True)",
    rarity=5,
)
def softmax_without_sum(c: Computation) -> Iterator[Variant]:
    """The last division is missing, as of an online softmax whose sum is dropped."""
    if to_weights in c.steps:
        yield Variant(weighted_by(c, exp_shifted_alone), {"formula": "exp(x - m)"})
        yield Variant(weighted_by(c, exp_alone), {"formula": "exp(x)"})
        yield Variant(weighted_by(c, exp_over_count), {"formula": "exp(x - m) / n_k"})


def share_of(function: Step) -> Step:
    """A function of the visible scores, divided by its sum over the keys."""

    def step(x: Array, c: Computation) -> Array:
        y = seen_only(function)(x, c)
        total = y.sum(-1, keepdims=True)
        return np.asarray(y / np.where(total == 0, 1, total))

    return step


def relu(x: Array, c: Computation) -> Array:
    return np.maximum(x, 0)


def softplus(x: Array, c: Computation) -> Array:
    return np.asarray(np.logaddexp(x, 0))


def over_size(x: Array, c: Computation) -> Array:
    """x / Σ |x|"""
    y = plain_scores(x, c)
    return np.asarray(y / np.maximum(np.abs(y).sum(-1, keepdims=True), np.finfo(x.dtype).tiny))


def log_softmax(x: Array, c: Computation) -> Array:
    """ln softmax(x); 0 where a key is masked."""
    return np.asarray(np.where(hidden(x), 0, np.log(softmax(x, sinks=c.sinks))))


def one_hot(x: Array, c: Computation) -> Array:
    """1 for the largest score, 0 for all others."""
    return np.asarray((np.arange(x.shape[-1]) == x.argmax(-1)[..., None]) & ~hidden(x), x.dtype)


OTHER_FUNCTIONS: dict[str, Step] = {
    "x / Σ x": share_of(lambda x, _: x),
    "x / Σ |x|": over_size,
    "relu(x) / Σ relu(x)": share_of(relu),
    "relu(x)": seen_only(relu),
    "relu(x) / n_k": lambda x, c: seen_only(relu)(x, c) / c.n_k,
    "tanh(x)": seen_only(lambda x, _: np.asarray(np.tanh(x))),
    "x² / Σ x²": share_of(lambda x, _: x * x),
    "softplus(x) / Σ softplus(x)": share_of(softplus),
    "σ(x) / Σ σ(x)": share_of(lambda x, _: sigmoid(x)),
    "ln softmax(x)": log_softmax,
    "one-hot(argmax x)": one_hot,
}


@MISTAKES.add(
    id="X11",
    family="softmax",
    title=to_say("another function than the softmax: {formula}"),
    computed="{formula}",
    wanted="exp(x) / Σ exp(x)",
    fix="weights = softmax(scores, dim=-1)",
    rarity=7,
)
def other_function(c: Computation) -> Iterator[Variant]:
    """The scores divided by their sum, ReLU, log-softmax, only the largest, …"""
    if to_weights in c.steps:
        for formula, step in OTHER_FUNCTIONS.items():
            yield Variant(weighted_by(c, step), {"formula": formula})


def absolute(x: Array, c: Computation) -> Array:
    return np.abs(x)


def negative(x: Array, c: Computation) -> Array:
    return -x


@MISTAKES.add(
    id="X11",
    family="softmax",
    title=to_say("a softmax of scores with another sign: {formula}"),
    computed="{formula}",
    wanted="softmax(x)",
    fix="weights = softmax(scores, dim=-1)",
    rarity=7,
)
def softmax_of_other_sign(c: Computation) -> Iterator[Variant]:
    """softmax(-x), the softmin, or softmax(|x|)."""
    if hide in c.steps and to_weights in c.steps:
        yield Variant(before(c, hide, negative), {"formula": "softmax(-x)"})
        yield Variant(before(c, hide, absolute), {"formula": "softmax(|x|)"})


def softmax_twice_step(masked_again: bool) -> Step:
    def step(x: Array, c: Computation) -> Array:
        first = to_weights(x, c)
        return softmax(np.where(hidden(x), -np.inf, first) if masked_again else first)

    return step


@MISTAKES.add(
    id="X11",
    family="softmax",
    title=to_say("the softmax applied twice"),
    computed="softmax(softmax(x))",
    wanted="softmax(x)",
    fix="one softmax: the kernel gives weights already, or the scores did",
    rarity=5,
)
def softmax_twice(c: Computation) -> Iterator[Variant]:
    """Nearly uniform rows; masked keys get weight again, unless they are masked again."""
    if to_weights not in c.steps:
        return
    if c.masking.is_empty:
        yield Variant(weighted_by(c, softmax_twice_step(False)))
    else:
        for again in (False, True):
            yield Variant(weighted_by(c, softmax_twice_step(again)), {"masked_again": again})
