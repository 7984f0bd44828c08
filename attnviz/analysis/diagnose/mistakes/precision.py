"""What a coarse type does to attention: rounding, overflow, and scales that are not undone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step, as_it_is, to_weights
from attnviz.analysis.diagnose.mistakes.softmax import largest_product, weighted_by
from attnviz.analysis.diagnose.noise import rounding
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array

HALVES = ("float16", "bfloat16")
LARGEST_HALF = 65504.0
ROUND_TO = 1e-5
"""How near a factor has to be to a round number to be that number."""

IN_HALF = (
    "huggingface/transformers#17437",
    "huggingface/transformers#18057",
    "pytorch/pytorch#123911",
)

Round = Callable[[Array], Array]


def coarse_softmax(rounded: Round, inside: bool) -> Step:
    """A softmax of scores in a coarse type; `inside`: each of its operations rounds too."""

    def step(x: Array, c: Computation) -> Array:
        x = rounded(x)
        if not inside:
            return rounded(softmax(x, sinks=c.sinks))
        peak = x.max(-1, keepdims=True)
        powers = rounded(np.exp(rounded(x - np.where(np.isneginf(peak), 0, peak))))
        total = rounded(powers.sum(-1, keepdims=True))
        return rounded(powers / np.where(total == 0, 1, total))

    return step


@MISTAKES.add(
    id="X9",
    family="precision",
    title=to_say("the softmax in {dtype}"),
    computed="softmax(x as {dtype}) as {dtype}",
    wanted="softmax(x as float32)",
    fix="softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype)",
    threads=IN_HALF,
    detect="rounding",
    rarity=6,
)
def softmax_in_half(c: Computation) -> Iterator[Variant]:
    """Scores are rounded on the way in, weights on the way out, or every operation rounds."""
    if to_weights not in c.steps:
        return
    for dtype in HALVES:
        yield Variant(
            weighted_by(c, coarse_softmax(rounding(dtype), inside=False)),
            {"dtype": dtype, "rounds": "scores and weights"},
        )
        if c.sinks is None:
            yield Variant(
                weighted_by(c, coarse_softmax(rounding(dtype), inside=True)),
                {"dtype": dtype, "rounds": "every operation"},
            )


@MISTAKES.add(
    id="X9",
    family="precision",
    title=to_say("the whole attention in {dtype}"),
    computed="softmax(QKᵀ · scale) V, every result rounded to {dtype}",
    wanted="the same in float32, or in {dtype} with sums and softmax in float32",
    fix="no autocast around attention: with torch.autocast(device, enabled=False)",
    threads=IN_HALF,
    detect="rounding",
    rarity=6,
)
def attention_in_half(c: Computation) -> Iterator[Variant]:
    """Every operation rounds its result."""
    if c.finish is not as_it_is:
        return
    for dtype in HALVES:
        yield Variant(rounding_everywhere(c, rounding(dtype)), {"dtype": dtype})


def rounding_everywhere(c: Computation, rounded: Round) -> Computation:
    """With every result rounded, those of the two products too."""

    def round_here(x: Array, _: Computation) -> Array:
        return rounded(x)

    similarity, combine = c.similarity, c.combine
    return replace(
        c,
        q=rounded(c.q),
        k=rounded(c.k),
        v=rounded(c.v),
        similarity=lambda q, k: rounded(similarity(q, k)),
        combine=lambda weights, v: rounded(combine(weights, v)),
        steps=tuple(each for step in c.steps for each in (step, round_here)),
    )


@MISTAKES.add(
    id="X10",
    family="precision",
    title=to_say("QKᵀ in float16, where it overflows: {result}"),
    computed="QKᵀ in float16: more than 65504 becomes {result}",
    wanted="QKᵀ in float32, or (Q · scale)Kᵀ",
    fix="accumulate q @ k.T in float32, or scale q before the product",
    threads=(
        "ggml-org/llama.cpp#8412",
        "ggml-org/llama.cpp#7805",
        "ggml-org/llama.cpp#9130",
        "huggingface/transformers#28163",
        "ikawrakow/ik_llama.cpp#102",
    ),
    detect="weights",
    rarity=3,
)
def scores_overflow(c: Computation) -> Iterator[Variant]:
    """A score of infinity makes its row NaN; one that is cut off makes it flat."""
    if largest_product(c) <= LARGEST_HALF:
        return
    similarity = c.similarity
    in_half = rounding("float16")

    def overflowing(q: Array, k: Array) -> Array:
        return in_half(similarity(q, k))

    def cut_off(q: Array, k: Array) -> Array:
        return np.clip(similarity(q, k), -LARGEST_HALF, LARGEST_HALF)

    yield Variant(replace(c, similarity=overflowing), {"result": "inf"})
    yield Variant(replace(c, similarity=cut_off), {"result": "65504"})


@MISTAKES.add(
    id="K3",
    family="precision",
    title=to_say(
        "values whose scale (FP8, int8) is not undone: the output is {times} what it should be"
    ),
    computed="{times} · softmax(x) V",
    wanted="softmax(x) V",
    fix="multiply by v_scale where v was divided by it (FP8, int8), once, for its own head",
    threads=(
        "flashinfer-ai/flashinfer#4979",
        "vllm-project/vllm#27490",
        "sgl-project/sglang#20705",
        "sgl-project/sglang#34765",
        "vllm-project/vllm#51534",
    ),
    detect="parameter",
    rarity=7,
)
def value_scale_ignored(c: Computation) -> Iterator[Variant]:
    """The output is a multiple of the reference's, in all heads or in each."""
    if c.facts.gain is None:
        return
    groups = c.facts.gain.reshape(c.n_kv_head, -1)
    each = np.array([nearly_round(g) for g in groups.mean(-1)])
    if not np.allclose(groups, each[:, None], rtol=1e-3, atol=0):
        return
    factors = [float(f"{g:.5g}") for g in each]
    one = len(set(factors)) == 1
    shown = f"{factors[0]:.4g} ×" if one else f"{min(factors):.4g} … {max(factors):.4g} ×"
    factor = {"factor": factors[0]} if one else {"factors": factors}
    v = c.v * each[:, None, None].astype(c.v.dtype)
    yield Variant(replace(c, v=v), {**factor, "times": shown})


def nearly_round(factor: float) -> float:
    """A factor of three digits, or one over it, where it is within rounding of one."""
    for candidate in (float(f"{factor:.3g}"), 1 / float(f"{1 / factor:.3g}")):
        if math.isclose(factor, candidate, rel_tol=ROUND_TO):
            return candidate
    return factor


@MISTAKES.add(
    id="K3",
    family="precision",
    title=to_say(
        "keys whose scale (FP8, int8) is not undone: scores {factor:g} × what they should be"
    ),
    computed="softmax({factor:g} · x) V",
    wanted="softmax(x) V",
    fix="multiply the scores by k_scale where k was divided by it",
    threads=("flashinfer-ai/flashinfer#4979", "sgl-project/sglang#20705"),
    detect="parameter",
    rarity=7,
    searched=True,
)
def key_scale_ignored(c: Computation) -> Iterator[Variant]:
    """The scores are a multiple of the reference's."""
    if c.facts.scale is None or np.ndim(c.scale):
        return
    gain = c.facts.scale[0] / float(c.scale)
    if not np.isclose(gain, 1, rtol=1e-3):
        factor = {"factor": float(f"{gain:.5g}")}
        yield Variant(replace(c, scale=c.scale * gain), factor)
