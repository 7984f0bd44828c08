"""What a query gets that sees no key, and masks of which NaN comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step
from attnviz.analysis.diagnose.hiding import (
    RIGHT,
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
)
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array

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
