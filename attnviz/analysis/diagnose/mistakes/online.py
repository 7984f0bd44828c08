"""A softmax that is put together wrongly from blocks or splits of the keys.

What such code gives is again a weight for each key, which depends on the block that the key is in,
so that these are steps that take the place of the softmax.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step, to_weights
from attnviz.analysis.diagnose.mistakes.softmax import weighted_by
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array

SIZES = (64, 128, 32, 16)
SMALL_SIZES = (4, 8, 2, 1, 3, 5)
"""Of toy examples."""
FEW_KEYS = 64
"""Up to so many keys, small blocks are usual."""
LAST_FIRST = (64, 128, 4, 2)
"""Sizes of which the last block comes first too, as in FlashAttention."""
UNUSUAL_SIZES = (256, 1, 4, 8, 48, 80, 96, 112, 160, 192, 224, 512)
SPLITS = (2, 4, 8)
OTHER_SPLITS = (3, 16, 32, 5, 6, 7)
"""Into how many equal parts the keys may be split."""
MOST_POINTS = 4
"""Usual points to split many keys at."""
EVERY_POINT = 64
"""Up to so many keys, each is a point that they may be split at, in the end."""

FLUSHED = {"float32": -103.97, "float16": -17.33}
"""exp of anything below is 0 in a type."""


class Walk(NamedTuple):
    """How an online softmax goes over the keys."""

    size: int
    """Keys of a block."""
    last_first: bool


def usual_walks(n_k: int) -> list[Walk]:
    """The likeliest first."""
    small = SMALL_SIZES if n_k <= FEW_KEYS else ()
    sizes = [n for n in (*small, *SIZES) if n < n_k]
    return [Walk(n, back) for n in sizes for back in (False, True) if not back or n in LAST_FIRST]


def other_walks(n_k: int) -> list[Walk]:
    """Blocks of all other sizes, where there are few keys, or of some; and the usual ones the other
    way round."""
    others = range(1, n_k) if n_k <= FEW_KEYS else (*UNUSUAL_SIZES, *SIZES)
    usual = set(usual_walks(n_k))
    walks = [Walk(n, back) for n in others if n < n_k for back in (False, True)]
    return [walk for walk in walks if walk not in usual]


def few(c: Computation) -> bool:
    return c.n_k <= FEW_KEYS


class Blocks(NamedTuple):
    """Logits in blocks of keys, as an online softmax walks over them."""

    x: Array
    """[..., n_block, size]; -inf behind the last key."""
    own: Array
    """[..., n_block, 1]: the largest of each block."""
    running: Array
    """[..., n_block, 1]: the largest so far, in the order of the walk."""
    last: Array
    """[..., 1, 1]: the largest of all."""


def in_blocks(x: Array, walk: Walk) -> Blocks:
    """x [..., n_k] in blocks of keys, in the order of the walk."""
    size, backwards = walk
    n_block = -(-x.shape[-1] // size)
    padding = n_block * size - x.shape[-1]
    whole = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, padding)], constant_values=-np.inf)
    blocks = whole.reshape(*x.shape[:-1], n_block, size)
    own = blocks.max(-1, keepdims=True)
    walk = own[..., ::-1, :] if backwards else own
    running = np.maximum.accumulate(walk, axis=-2)
    last = running[..., -1:, :]
    return Blocks(blocks, own, running[..., ::-1, :] if backwards else running, last)


def finite(x: Array) -> Array:
    """0 in the place of -inf, where nothing has been seen so far.

    x [...] -> [...].
    """
    return np.where(np.isneginf(x), 0, x)


Rescale = Literal["right", "missing", "inverse", "of the block"]


def numerator(blocks: Blocks, how: Rescale) -> Array:
    """What each key has contributed in the end, [..., n_block, size]: exp(x - m) when its block was
    met, times all later factors, each of which should be exp(m_old - m_new)."""
    running, last = finite(blocks.running), finite(blocks.last)
    met = np.exp(blocks.x - running)
    if how == "missing":
        return np.asarray(met)
    if how == "inverse":
        return np.asarray(met * np.exp(last - running))
    if how == "of the block":
        return np.asarray(np.exp(blocks.x - finite(blocks.own)) * np.exp(running - last))
    return np.asarray(np.exp(blocks.x - last))


def online(walk: Walk, output: Rescale, total: Rescale) -> Step:
    """An online softmax whose output and whose sum are rescaled in some way."""

    def step(x: Array, c: Computation) -> Array:
        blocks = in_blocks(x, walk)
        powers = numerator(blocks, output)
        sums = powers if total == output else numerator(blocks, total)
        denominator = sums.sum((-2, -1), keepdims=True)
        if c.sinks is not None:
            sinks = c.sinks[..., :, None, None, None].astype(x.dtype)
            denominator = denominator + np.exp(sinks - finite(blocks.last))
        weights = powers / np.where(denominator == 0, 1, denominator)
        return np.asarray(weights.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]])

    return step


def named(walk: Walk) -> dict[str, int | str]:
    """As parameters of a variant."""
    return {"size": walk.size, "order": "from the last" if walk.last_first else "from the first"}


def rescaled(c: Computation, wrong: Rescale, walks: Sequence[Walk]) -> Iterator[Variant]:
    """Output, sum or both rescaled wrongly."""
    ways: tuple[tuple[Rescale, Rescale, str], ...] = (
        (wrong, "right", "O"),
        (wrong, wrong, "O, l"),
        ("right", wrong, "l"),
    )
    if to_weights not in c.steps:
        return
    for walk in walks:
        for output, total, what in ways if few(c) else ways[:2]:
            step = online(walk, output, total)
            yield Variant(weighted_by(c, step), {**named(walk), "what": what})


ONLINE = "O = exp(m_old - m_new) · O + exp(x - m_new) V, and l the same; in the end O / l"


@MISTAKES.add(
    id="X7",
    family="softmax",
    title=to_say(
        "an online softmax over blocks of {size} keys that does not rescale {what} when the "
        "maximum grows"
    ),
    computed="{what}: no factor exp(m_old - m_new); blocks {order}",
    wanted=ONLINE,
    fix="alpha = exp(m_old - m_new); acc = acc * alpha + p @ v; total = total * alpha + p.sum(-1)",
    threads=(
        "Dao-AILab/flash-attention#991",
        "deepseek-ai/FlashMLA#177",
        "PaddleJitLab/CUDATutorial#69",
    ),
    detect="parameter",
    rarity=4,
)
def online_without_rescale(c: Computation) -> Iterator[Variant]:
    """What was summed before a larger score was met counts too much."""
    yield from rescaled(c, "missing", usual_walks(c.n_k))


@MISTAKES.add(
    id="X7",
    family="softmax",
    title=to_say(
        "an online softmax over blocks of {size} keys that divides {what} by the factor it should "
        "multiply by"
    ),
    computed="{what}: exp(m_new - m_old), not exp(m_old - m_new); blocks {order}",
    wanted=ONLINE,
    fix="alpha = exp(m_old - m_new): at most 1 (the FlashAttention-2 paper has its inverse)",
    threads=("Dao-AILab/flash-attention#991", "Dao-AILab/flash-attention#2342"),
    detect="parameter",
    rarity=5,
)
def online_inverse_rescale(c: Computation) -> Iterator[Variant]:
    """diag(exp(m_old - m_new))⁻¹, as printed in Algorithm 1 of FlashAttention-2."""
    yield from rescaled(c, "inverse", usual_walks(c.n_k))


@MISTAKES.add(
    id="X7",
    family="softmax",
    title=to_say(
        "an online softmax over blocks of {size} keys that shifts {what} by the maximum of the "
        "block, not by the running one"
    ),
    computed="{what}: exp(x - max of the block) is added as it is; blocks {order}",
    wanted=ONLINE,
    fix="m_new = maximum(m_old, block.max(-1)); p = exp(block - m_new)",
    threads=("tile-ai/tilelang#1148", "PaddleJitLab/CUDATutorial#69"),
    detect="parameter",
    rarity=6,
)
def online_block_maximum(c: Computation) -> Iterator[Variant]:
    """A new block counts too much where an earlier one had a larger score."""
    yield from rescaled(c, "of the block", usual_walks(c.n_k))


@MISTAKES.add(
    id="X7",
    family="softmax",
    title=to_say(
        "an online softmax over blocks of {size} keys that rescales {what} wrongly when the "
        "maximum grows: {factor}"
    ),
    computed="{what}: {factor}; blocks {order}",
    wanted=ONLINE,
    fix="alpha = exp(m_old - m_new); acc = acc * alpha + p @ v; total = total * alpha + p.sum(-1)",
    threads=(
        "Dao-AILab/flash-attention#991",
        "deepseek-ai/FlashMLA#177",
        "PaddleJitLab/CUDATutorial#69",
    ),
    detect="parameter",
    rarity=9,
)
def online_in_other_blocks(c: Computation) -> Iterator[Variant]:
    """The same in blocks of any other size, or the other way round."""
    wrong: tuple[tuple[Rescale, str], ...] = (
        ("missing", "no factor"),
        ("inverse", "exp(m_new - m_old)"),
        ("of the block", "exp(x - max of the block)"),
    )
    for how, factor in wrong:
        for variant in rescaled(c, how, other_walks(c.n_k)):
            yield variant._replace(parameter={**variant.parameter, "factor": factor})


def stuck_at_zero(walk: Walk, dtype: str) -> Step:
    """The maximum is 0, where the first block is masked, and stays 0 where all later scores are
    below: exp(x) vanishes in a type."""

    def step(x: Array, c: Computation) -> Array:
        blocks = in_blocks(x, walk)
        first = blocks.own[..., -1:, :] if walk.last_first else blocks.own[..., :1, :]
        peak = np.where(np.isneginf(first), np.maximum(blocks.last, 0), blocks.last)
        lost = (blocks.x - peak < FLUSHED[dtype]).reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]
        return np.where(lost, 0, to_weights(x, c))

    return step


@MISTAKES.add(
    id="X7",
    family="softmax",
    title=to_say(
        "an online softmax over blocks of {size} keys whose maximum stays 0 where the first block "
        "is masked, in {dtype}"
    ),
    computed="exp(x - 0) = 0 where all x < {lowest}; blocks {order}",
    wanted=ONLINE,
    fix="use 0 for -inf in exp(x - m) only, and keep -inf as the running maximum",
    threads=("Dao-AILab/flash-attention#2082", "Dao-AILab/flash-attention#2174"),
    detect="parameter",
    rarity=6,
)
def online_masked_first_block(c: Computation) -> Iterator[Variant]:
    """Rows whose scores are all far below 0 become zero."""
    seen = c.visible()
    if seen is None or to_weights not in c.steps:
        return
    for walk in usual_walks(c.n_k):
        start = (c.n_k - 1) // walk.size * walk.size
        first = seen[..., start:] if walk.last_first else seen[..., : walk.size]
        if first.any(-1).all():
            continue
        for dtype, lowest in FLUSHED.items():
            parameter = {**named(walk), "dtype": dtype, "lowest": lowest}
            yield Variant(weighted_by(c, stuck_at_zero(walk, dtype)), parameter)


# parts of the keys, each with its own softmax, merged by their log-sum-exp


class Parts(NamedTuple):
    """The softmax of each part of the keys, and what a merge may use of it."""

    weights: Array
    """[..., n_k]: each part sums to 1, or to 0 where it is masked."""
    lse: Array
    """[..., n_part]: ln Σ exp(x) of each part; -inf where it is masked."""
    largest: Array
    """[..., n_part]: max x."""
    sums: Array
    """[..., n_part]: Σ exp(x - max x)."""


def in_parts(x: Array, edges: Array, part: Array) -> Parts:
    """`edges` [n_part]: where the parts begin; `part` [n_k]: which one each key is in."""
    largest = np.maximum.reduceat(x, edges, axis=-1)
    powers = np.exp(x - finite(largest)[..., part])
    sums = np.add.reduceat(powers, edges, axis=-1)
    weights = powers / np.where(sums == 0, 1, sums)[..., part]
    return Parts(weights, np.asarray(np.log(sums) + largest), largest, sums)


Merge = Callable[[Parts, Computation], Array]
"""Parts -> the factor on each, [..., n_part]; right is the softmax of their lse."""


def merged(edges: Array, merge: Merge) -> Step:
    """A step that computes the parts between edges [n_part + 1] by themselves, and merges them."""

    def step(x: Array, c: Computation) -> Array:
        part = np.searchsorted(edges, np.arange(x.shape[-1]), side="right") - 1
        parts = in_parts(x, edges, part)
        return np.asarray(parts.weights * merge(parts, c)[..., part])

    return step


def even(parts: Parts, c: Computation) -> Array:
    return np.full_like(parts.lse, 1 / parts.lse.shape[-1])


def added(parts: Parts, c: Computation) -> Array:
    return np.ones_like(parts.lse)


def in_base_two(parts: Parts, c: Computation) -> Array:
    return softmax(parts.lse / math.log(2), sinks=c.sinks)


def from_base_two(parts: Parts, c: Computation) -> Array:
    return softmax(parts.lse * math.log(2), sinks=c.sinks)


def by_sums(parts: Parts, c: Computation) -> Array:
    return np.asarray(parts.sums / np.maximum(parts.sums.sum(-1, keepdims=True), 1e-30))


def by_largest(parts: Parts, c: Computation) -> Array:
    return softmax(parts.largest, sinks=c.sinks)


def first_only(parts: Parts, c: Computation) -> Array:
    return np.broadcast_to(np.arange(parts.lse.shape[-1]) == 0, parts.lse.shape).astype(
        parts.lse.dtype
    )


def last_only(parts: Parts, c: Computation) -> Array:
    return first_only(parts, c)[..., ::-1]


def backwards(parts: Parts, c: Computation) -> Array:
    return softmax(parts.lse[..., ::-1], sinks=c.sinks)


def negated(parts: Parts, c: Computation) -> Array:
    return softmax(np.where(np.isneginf(parts.lse), -np.inf, -parts.lse), sinks=c.sinks)


def undivided(parts: Parts, c: Computation) -> Array:
    peak = finite(parts.lse.max(-1, keepdims=True))
    return np.asarray(np.exp(parts.lse - peak))


def lost_where_empty(parts: Parts, c: Computation) -> Array:
    empty = np.isneginf(parts.lse).any(-1, keepdims=True)
    return np.where(empty, np.nan, softmax(parts.lse, sinks=c.sinks))


Starts = tuple[int, ...]
"""Where the parts of the keys begin."""


def splits(c: Computation) -> dict[Starts, str]:
    """The usual parts of the keys -> how that is said: equal parts, pages, or two parts where the
    new tokens follow a cache, or a page ends."""
    n = c.n_k
    step = max(1, n // MOST_POINTS)
    points = (n - c.n_q, *range(step, n, step)) if few(c) else (n - c.n_q,)
    return _cut(n, SPLITS, (256,), points)


def other_splits(c: Computation) -> dict[Starts, str]:
    """Other equal parts, smaller pages, and two parts at any other point."""
    n = c.n_k
    every = 1 if n <= EVERY_POINT else 16 * math.ceil(n / 16 / EVERY_POINT)
    found = _cut(n, OTHER_SPLITS, SIZES, range(every, n, every))
    usual = splits(c)
    return {starts: words for starts, words in found.items() if starts not in usual}


def _cut(
    n: int, counts: Iterable[int], sizes: Iterable[int], points: Iterable[int]
) -> dict[Starts, str]:
    """Equal parts, the likeliest, before pages and two parts."""
    equal = {tuple(range(0, n, -(-n // k))): f"{k} × {-(-n // k)}" for k in counts if k <= n}
    pages = {tuple(range(0, n, k)): f"{k} + {k} + …" for k in sizes}
    halves = {(0, k): f"{k} + {n - k}" for k in points if 0 < k < n}
    found = {**equal, **{k: v for k, v in (pages | halves).items() if k not in equal}}
    return {starts: words for starts, words in found.items() if len(starts) > 1}


def by_merge(
    c: Computation, merges: Mapping[str, Merge], parts: Mapping[Starts, str] | None = None
) -> Iterator[Variant]:
    """Each wrong merge of each split of the keys; `merges`: how it is written -> what it does."""
    if to_weights not in c.steps:
        return
    for starts, words in (splits(c) if parts is None else parts).items():
        for name, merge in merges.items():
            step = merged(np.array(starts), merge)
            yield Variant(weighted_by(c, step), {"parts": words, "merge": name})


WITHOUT_LSE: Mapping[str, Merge] = {"Σ O_i / n": even, "Σ O_i": added}
WRONG_BASE: Mapping[str, Merge] = {
    "exp(log2 Σ exp(x))": in_base_two,
    "exp2(ln Σ exp(x))": from_base_two,
}
HALF_OF_LSE: Mapping[str, Merge] = {"Σ exp(x - max x)": by_sums, "exp(max x)": by_largest}
ONE_PART: Mapping[str, Merge] = {"O_last": last_only, "O_first": first_only}
WRONG_LSE: Mapping[str, Merge] = {
    "exp(lse_j), j ≠ i": backwards,
    "exp(-lse)": negated,
    "exp(lse_i - max lse), Σ ≠ 1": undivided,
}

MERGED = "O = Σ exp(lse_i - lse) O_i, lse = ln Σ exp(lse_i)"
MERGE_FIX = "w = softmax(stack(lse), dim=0), lse natural, fp32, one for each head and query"


@MISTAKES.add(
    id="X8",
    family="softmax",
    title=to_say("parts of the keys ({parts}) merged without their log-sum-exp"),
    computed="O = {merge}",
    wanted=MERGED,
    fix=MERGE_FIX,
    threads=(
        "Dao-AILab/flash-attention#2388",
        "flashinfer-ai/flashinfer#50",
        "vllm-project/flash-attention#87",
        "vllm-project/flash-attention#34",
    ),
    detect="parameter",
    rarity=5,
)
def parts_without_lse(c: Computation) -> Iterator[Variant]:
    """Their plain mean, or their sum."""
    yield from by_merge(c, WITHOUT_LSE)


@MISTAKES.add(
    id="X8",
    family="softmax",
    title=to_say("parts of the keys ({parts}) merged by a log-sum-exp in the wrong base"),
    computed="w_i ∝ {merge}",
    wanted=MERGED,
    fix="lse_natural = lse_base_2 * 0.693147: FlashInfer and exp2 kernels give it in base 2",
    threads=(
        "flashinfer-ai/flashinfer#2114",
        "flashinfer-ai/flashinfer#4485",
        "sgl-project/sglang#35045",
    ),
    detect="parameter",
    rarity=5,
)
def parts_in_wrong_base(c: Computation) -> Iterator[Variant]:
    """A log2 is used with exp, or a natural logarithm with exp2."""
    yield from by_merge(c, WRONG_BASE)


@MISTAKES.add(
    id="X8",
    family="softmax",
    title=to_say("parts of the keys ({parts}) merged by only half of their log-sum-exp"),
    computed="w_i ∝ {merge}",
    wanted=MERGED,
    fix="lse = max + log(sum): both parts of it",
    threads=("vllm-project/flash-attention#87", "ROCm/aiter#3334"),
    detect="parameter",
    rarity=6,
)
def parts_by_half_of_lse(c: Computation) -> Iterator[Variant]:
    """By the sums, each relative to its own maximum, or by the maxima alone."""
    yield from by_merge(c, HALF_OF_LSE)


@MISTAKES.add(
    id="X8",
    family="softmax",
    title=to_say("one part of the keys ({parts}) alone: {merge}"),
    computed="O = O_i of one part",
    wanted=MERGED,
    fix=MERGE_FIX,
    threads=("vllm-project/flash-attention#34", "FlagOpen/FlagGems#5235"),
    detect="parameter",
    rarity=5,
)
def one_part_alone(c: Computation) -> Iterator[Variant]:
    """Each part overwrites the one before, or only the first is kept."""
    yield from by_merge(c, ONE_PART)


@MISTAKES.add(
    id="X8",
    family="softmax",
    title=to_say("parts of the keys ({parts}) merged by the wrong log-sum-exp"),
    computed="w_i ∝ {merge}",
    wanted=MERGED,
    fix=MERGE_FIX,
    threads=("ROCm/aiter#3334", "vllm-project/flash-attention#87"),
    detect="parameter",
    rarity=6,
)
def parts_by_wrong_lse(c: Computation) -> Iterator[Variant]:
    """By each other's, by its negative, or not divided by their sum."""
    yield from by_merge(c, WRONG_LSE)


@MISTAKES.add(
    id="X8",
    family="softmax",
    title=to_say("parts of the keys ({parts}) of which one that sees no key gives NaN"),
    computed="exp(-inf - -inf) = NaN",
    wanted="a part that sees no key has lse = -inf and the weight 0",
    fix="where(lse == -inf, 0, exp(lse - max)) before the parts are added",
    threads=(
        "vllm-project/vllm#39148",
        "flashinfer-ai/flashinfer#4051",
        "ROCm/rocMLIR#2371",
    ),
    detect="parameter",
    rarity=5,
)
def empty_part(c: Computation) -> Iterator[Variant]:
    """Rows of which one part is masked altogether are NaN."""
    if to_weights not in c.steps or c.masking.is_empty:
        return
    for starts, words in splits(c).items():
        step = merged(np.array(starts), lost_where_empty)
        yield Variant(weighted_by(c, step), {"parts": words})


@MISTAKES.add(
    id="X8",
    family="softmax",
    title=to_say("parts of the keys ({parts}) merged wrongly: {merge}"),
    computed="O = Σ w_i O_i, by {merge}",
    wanted=MERGED,
    fix=MERGE_FIX,
    threads=("flashinfer-ai/flashinfer#50", "vllm-project/flash-attention#87"),
    detect="parameter",
    rarity=9,
)
def parts_at_other_points(c: Computation) -> Iterator[Variant]:
    """The same of two parts that meet at any other key."""
    wrong = {**WITHOUT_LSE, **WRONG_BASE, **HALF_OF_LSE, **WRONG_LSE}
    yield from by_merge(c, wrong, other_splits(c))
