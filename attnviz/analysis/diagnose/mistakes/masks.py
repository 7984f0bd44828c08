"""A mask that means something else, is forgotten, or is that of something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.hiding import (
    RIGHT,
    misread,
    step_that_hides,
)
from attnviz.analysis.diagnose.masking import Masking, Segments
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool

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
