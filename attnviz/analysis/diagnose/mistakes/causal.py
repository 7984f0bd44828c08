"""A causal mask or a window that is a key off, aligned with the wrong corner, or missing; and keys
past the end that take part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step, to_weights
from attnviz.analysis.diagnose.hiding import step_that_hides
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool

RIGHT = "softmax(where(j ≤ i, S, −∞)) V, S = QKᵀ/√d_k"
WINDOW = "softmax(where(0 ≤ i − j < {wanted}, S, −∞)) V, S = QKᵀ/√d_k"

RARE = 9
"""Tried only where nothing else explains a dump."""


def _is_causal(c: Computation) -> bool:
    return step_that_hides(c) is not None and c.masking.causal


# the diagonal


@MISTAKES.add(
    id="C1",
    family="causal",
    title=to_say("a strict causal mask: no query sees its own key"),
    computed="softmax(where(j < i, S, −∞)) V",
    wanted=RIGHT,
    fix="hidden = torch.triu(ones, diagonal=1)  # not diagonal=0",
    threads=("pbloem/former#10", "pytorch/tutorials#2250"),
    pairs=True,
    rarity=2,
)
def strict_causal(c: Computation) -> Iterator[Variant]:
    """Row 0 sees nothing, every other one key less."""
    if _is_causal(c) and c.masking.ahead != -1:
        yield Variant(c.with_masking(ahead=-1))


@MISTAKES.add(
    id="C2",
    family="causal",
    title=to_say("a causal mask that shows the next key as well"),
    computed="softmax(where(j ≤ i + 1, S, −∞)) V",
    wanted=RIGHT,
    fix="hidden = torch.triu(ones, diagonal=1)  # not diagonal=2",
    threads=("RVC-Boss/GPT-SoVITS#965",),
    pairs=True,
    rarity=3,
)
def one_key_ahead(c: Computation) -> Iterator[Variant]:
    """Each query sees the token that it should predict."""
    if _is_causal(c):
        yield Variant(c.with_masking(ahead=c.masking.ahead + 1))


BLOCKS = (16, 32, 64, 128, 256)


@MISTAKES.add(
    id="C2",
    family="causal",
    title=to_say("a causal mask in blocks of {block} keys: queries see later keys of their block"),
    computed="softmax(where(⌊j/{block}⌋ ≤ ⌊i/{block}⌋, S, −∞)) V",
    wanted=RIGHT,
    fix=to_say("mask the blocks on the diagonal cell by cell"),
    detect="parameter",
    rarity=6,
)
def causal_in_blocks(c: Computation) -> Iterator[Variant]:
    """A block mask that nothing refines."""
    if not _is_causal(c) or c.masking.has_window or np.ndim(c.masking.offset):
        return
    for block in BLOCKS:
        if block < c.n_k:
            own = np.arange(c.n_q) + c.masking.offset
            seen = np.arange(c.n_k) // block <= own[:, None] // block
            changed = _and(c.with_masking(causal=False, ahead=0), seen)
            yield Variant(changed, {"block": block})


@MISTAKES.add(
    id="C1",
    family="causal",
    title=to_say("the causal mask without the block on the diagonal: blocks of {block} keys"),
    computed="softmax(where(⌊j/{block}⌋ < ⌊i/{block}⌋, S, −∞)) V",
    wanted=RIGHT,
    fix=to_say(
        "let the loop over keys end after the query's own block, and mask that cell by cell"
    ),
    detect="parameter",
    rarity=RARE,
)
def causal_without_own_block(c: Computation) -> Iterator[Variant]:
    """A loop over blocks of keys that ends one block too early."""
    if not _is_causal(c) or np.ndim(c.masking.offset):
        return
    for block in BLOCKS:
        if block < c.n_k:
            own = np.arange(c.n_q) + c.masking.offset
            yield Variant(
                _and(c, np.arange(c.n_k) < own[:, None] // block * block), {"block": block}
            )


def _and(c: Computation, seen: Bool) -> Computation:
    """With only these keys visible, of those that are, [n_q, n_k]."""
    other = c.masking.custom
    return c.with_masking(custom=seen if other is None else seen & other)


@MISTAKES.add(
    id="C4",
    family="causal",
    title=to_say("a causal mask the wrong way round: queries see their own key and later ones"),
    computed="softmax(where(j ≥ i, S, −∞)) V",
    wanted=RIGHT,
    fix="torch.tril, not torch.triu, of what is visible",
    threads=("rasbt/LLMs-from-scratch#1061",),
    pairs=True,
    rarity=3,
)
def causal_backwards(c: Computation) -> Iterator[Variant]:
    """triu for tril; a window goes ahead as well."""
    if _is_causal(c) and not np.any(c.masking.prefix):
        yield Variant(c.with_masking(causal=False, ahead=0, left=0, right=c.masking.left))


# which corner


CORNERS = (
    "Dao-AILab/flash-attention#282",
    "microsoft/onnxruntime#29020",
    "ml-explore/mlx#2835",
    "onnx/onnx#8068",
    "pytorch/pytorch#115111",
    "pytorch/pytorch#144858",
)


def _has_place(c: Computation) -> bool:
    """Whether it matters where among the keys the queries stand."""
    return step_that_hides(c) is not None and (c.masking.causal or c.masking.has_window)


@MISTAKES.add(
    id="C3",
    family="causal",
    title=to_say("the causal mask aligned upper left: query 0 sees key 0 only"),
    computed="softmax(where(j ≤ i, S, −∞)) V",
    wanted="softmax(where(j ≤ i + offset, S, −∞)) V, S = QKᵀ/√d_k",
    fix="mask = torch.ones(n_q, n_k, dtype=torch.bool).tril(n_k - n_q)  # not is_causal=True",
    threads=CORNERS,
    pairs=True,
    rarity=1,
)
def aligned_upper_left(c: Computation) -> Iterator[Variant]:
    """The queries are the last ones, and are taken for the first: with a cache, a single query sees
    only the first key."""
    if _has_place(c) and np.any(c.masking.offset != 0):
        yield Variant(c.with_masking(offset=0), {"offset": 0})
    elif c.n_q == 1 and c.n_k > 1 and not c.masking.causal and not c.masking.has_window:
        words = to_say("is_causal with a single query")
        yield Variant(c.with_masking(causal=True, offset=0), {"offset": 0}, words)


@MISTAKES.add(
    id="C3",
    family="causal",
    title=to_say("the causal mask aligned lower right: the last query sees all keys"),
    computed="softmax(where(j ≤ i + n_k − n_q, S, −∞)) V",
    wanted="softmax(where(j ≤ i + offset, S, −∞)) V, S = QKᵀ/√d_k",
    fix="mask = torch.ones(n_q, n_k, dtype=torch.bool).tril()",
    threads=CORNERS,
    pairs=True,
    rarity=2,
)
def aligned_lower_right(c: Computation) -> Iterator[Variant]:
    """The queries are the first ones, or each item of the batch has its own place, and the last
    query is taken for that of the last key."""
    if _has_place(c) and np.any(c.masking.offset != c.n_k - c.n_q):
        offset = c.n_k - c.n_q
        yield Variant(c.with_masking(offset=offset), {"offset": offset})


@MISTAKES.add(
    id="C3",
    family="causal",
    title=to_say("the causal mask aligned with the end of each text, padding not counted"),
    computed="softmax(where(j ≤ i + length − n_q, S, −∞)) V",
    wanted="softmax(where(j ≤ i + offset, S, −∞)) V, S = QKᵀ/√d_k",
    fix=to_say(
        "one offset for all items, n_k − n_q or 0: where the queries stand among the padded keys"
    ),
    threads=("onnx/onnx#8068", "microsoft/onnxruntime#29020"),
    rarity=5,
)
def aligned_with_each_text(c: Computation) -> Iterator[Variant]:
    """The last query at the last key that is no padding."""
    if not _has_place(c) or c.masking.keys is None:
        return
    real = c.masking.keys[:, 0, 0]
    ends = np.where(real, np.arange(c.n_k) + 1, 0).max(-1)
    offset = ends - c.n_q
    if np.any(offset != c.masking.offset):
        yield Variant(c.with_masking(offset=offset), {"offset": offset.tolist()})


@MISTAKES.add(
    id="C3",
    family="causal",
    title=to_say("the queries one place off in the mask and its window"),
    computed="softmax(where(0 ≤ i {by:+d} − j < window, S, −∞)) V",
    wanted="softmax(where(0 ≤ i − j < window, S, −∞)) V, S = QKᵀ/√d_k",
    fix=to_say("offset = n_k − n_q, where n_k counts the new keys too"),
    rarity=5,
)
def queries_one_place_off(c: Computation) -> Iterator[Variant]:
    """The length of the cache is taken before or after the new key."""
    if _has_place(c) and c.masking.has_window:
        for by in (-1, 1):
            yield Variant(c.with_masking(offset=c.masking.offset + by), {"by": by})


# windows


def _resized(c: Computation, by: int) -> Iterator[Variant]:
    """A window of earlier keys that is longer or shorter by so many."""
    left = c.masking.left
    if _has_place(c) and left is not None and c.masking.right is None and left + by >= 0:
        sizes = _sizes(c, left + by)
        words = to_say("{window} keys, the query's own included, instead of {wanted}", **sizes)
        yield Variant(c.with_masking(left=left + by), sizes, words)


def _sizes(c: Computation, left: int | None) -> dict[str, int | str]:
    """How many keys a window shows, the query's own among them, and should."""
    wanted = c.masking.left
    return {
        "window": "window" if left is None else left + 1,
        "wanted": "window" if wanted is None else wanted + 1,
    }


WINDOWS = (
    "huggingface/transformers#39408",
    "zml/zml#763",
    "microsoft/unilm#1612",
    "sgl-project/sglang#34273",
)


@MISTAKES.add(
    id="W1",
    family="causal",
    title=to_say("a window one key too long"),
    computed="softmax(where(0 ≤ i − j ≤ {wanted}, S, −∞)) V",
    wanted=WINDOW,
    fix="i - j < window, not <=; flash-attn's window_size=(window - 1, 0) is inclusive",
    threads=WINDOWS,
    detect="parameter",
    pairs=True,
    rarity=1,
)
def window_too_long(c: Computation) -> Iterator[Variant]:
    """The query's own key is not counted."""
    yield from _resized(c, 1)


@MISTAKES.add(
    id="W1",
    family="causal",
    title=to_say("a window one key too short"),
    computed="softmax(where(0 ≤ i − j < {window}, S, −∞)) V",
    wanted=WINDOW,
    fix="subtract 1 once: i - j < window is window_size=(window - 1, 0)",
    threads=WINDOWS,
    detect="parameter",
    pairs=True,
    rarity=2,
)
def window_too_short(c: Computation) -> Iterator[Variant]:
    """One is subtracted twice, or where nothing should be."""
    yield from _resized(c, -1)


@MISTAKES.add(
    id="W1",
    family="causal",
    title=to_say("a window of {window} keys instead of {wanted}"),
    computed="softmax(where(0 ≤ i − j < {window}, S, −∞)) V",
    wanted=WINDOW,
    fix=to_say("use the window of this layer's configuration: {wanted}"),
    threads=("huggingface/transformers#37574", "sgl-project/sglang#1106"),
    detect="parameter",
    rarity=5,
)
def window_of_another_size(c: Computation) -> Iterator[Variant]:
    """Half or double, or a usual number."""
    left = c.masking.left
    if not _has_place(c) or left is None or c.masking.right is not None:
        return
    sizes = ((left + 1) // 2, 2 * (left + 1), *_powers_of_two(c.n_k))
    for size in dict.fromkeys(sizes):
        if 0 < size < c.n_k and abs(size - 1 - left) > 1:
            yield Variant(c.with_masking(left=size - 1), _sizes(c, size - 1))


@MISTAKES.add(
    id="W1",
    family="causal",
    title=to_say(
        "a window of {left} keys before and {right} after the query instead of {wanted_left} and "
        "{wanted_right}"
    ),
    computed="softmax(where(−{right} ≤ i − j ≤ {left}, S, −∞)) V",
    wanted="softmax(where(−{wanted_right} ≤ i − j ≤ {wanted_left}, S, −∞)) V, S = QKᵀ/√d_k",
    fix=to_say("window_size=(left, right) counts the keys beside the query's own, on each side"),
    threads=WINDOWS,
    detect="parameter",
    pairs=True,
    rarity=2,
)
def window_to_both_sides_of_another_size(c: Computation) -> Iterator[Variant]:
    """One key more or less on a side or on both; or half or twice as many."""
    left, right = c.masking.left, c.masking.right
    if not _has_place(c) or right is None:
        return
    names = {
        "wanted_left": "n_k" if left is None else left,
        "wanted_right": right,
    }
    for new_left, new_right in _other_sides(left, right):
        if new_right >= 0 and (new_left is None or new_left >= 0):
            sides = {"left": "n_k" if new_left is None else new_left, "right": new_right}
            yield Variant(c.with_masking(left=new_left, right=new_right), {**sides, **names})


def _other_sides(left: int | None, right: int) -> Iterator[tuple[int | None, int]]:
    for by in (1, -1):
        if left is not None:
            yield from ((left + by, right + by), (left + by, right))
        yield left, right + by
    if left == right:
        yield from ((right // 2, right // 2), (2 * right, 2 * right))


@MISTAKES.add(
    id="W1",
    family="causal",
    title=to_say("a window of {window} keys instead of {wanted}"),
    computed="softmax(where(0 ≤ i − j < {window}, S, −∞)) V",
    wanted=WINDOW,
    fix=to_say("use the window of this layer's configuration: {wanted}"),
    threads=("huggingface/transformers#37574", "sgl-project/sglang#1106"),
    detect="parameter",
    rarity=RARE,
)
def window_of_any_size(c: Computation) -> Iterator[Variant]:
    """Every size, of few keys."""
    left = c.masking.left
    if _has_place(c) and left is not None and c.masking.right is None and c.n_k <= MOST_SIZES:
        for size in range(1, c.n_k):
            if abs(size - 1 - left) > 1:
                yield Variant(c.with_masking(left=size - 1), _sizes(c, size - 1))


MOST_SIZES = 128


def _powers_of_two(most: int) -> list[int]:
    return [1 << n for n in range(2, 16) if 1 << n < most]


LOST = (
    "vllm-project/vllm#14896",
    "sgl-project/sglang#1106",
    "eole-nlp/eole#182",
    "huggingface/transformers#37574",
    "karpathy/nanochat#456",
    "proger/hippogriff#7",
)


@MISTAKES.add(
    id="W3",
    family="causal",
    title=to_say("no window: queries see all earlier keys"),
    computed=RIGHT,
    wanted=WINDOW,
    fix=to_say("pass window_size or sliding_window on; many kernels take -1 or 0 as no window"),
    threads=LOST,
    pairs=True,
    rarity=1,
)
def window_dropped(c: Computation) -> Iterator[Variant]:
    """A local layer computed as a global one."""
    if _has_place(c) and c.masking.has_window:
        parameter = _sizes(c, None)
        yield Variant(replace(c, masking=c.masking.without("window")), parameter)


@MISTAKES.add(
    id="W3",
    family="causal",
    title=to_say("the window on both sides: queries see as many later keys as earlier ones"),
    computed="softmax(where(|i − j| < {wanted}, S, −∞)) V",
    wanted=WINDOW,
    fix="window_size=(window - 1, 0) and causal=True",
    threads=("proger/hippogriff#7", "sgl-project/sglang#1106"),
    pairs=True,
    rarity=2,
)
def window_on_both_sides(c: Computation) -> Iterator[Variant]:
    """|i - j|, without the causal rule."""
    left = c.masking.left
    if _is_causal(c) and left is not None and c.masking.right is None:
        yield Variant(c.with_masking(causal=False, ahead=0, right=left), _sizes(c, left))


@MISTAKES.add(
    id="W3",
    family="causal",
    title=to_say("the window without the causal mask: queries see all later keys"),
    computed="softmax(where(i − j < {wanted}, S, −∞)) V",
    wanted=WINDOW,
    fix="visible = (i - j >= 0) & (i - j < window)",
    threads=("proger/hippogriff#7", "keras-team/keras#23038"),
    pairs=True,
    rarity=2,
)
def causal_dropped_in_window(c: Computation) -> Iterator[Variant]:
    """The causal rule is forgotten, the window stays."""
    if _is_causal(c) and c.masking.has_window:
        parameter = _sizes(c, c.masking.left)
        yield Variant(replace(c, masking=c.masking.without("causal")), parameter)


@MISTAKES.add(
    id="W3",
    family="causal",
    title=to_say("a causal window instead of one to both sides"),
    computed="softmax(where(0 ≤ i − j < {wanted}, S, −∞)) V",
    wanted="softmax(where(−right ≤ i − j ≤ left, S, −∞)) V, S = QKᵀ/√d_k",
    fix="causal=False, window_size=(left, right)",
    threads=("sgl-project/sglang#1106",),
    rarity=4,
)
def window_made_causal(c: Computation) -> Iterator[Variant]:
    """Later keys of the window are hidden."""
    if _has_place(c) and not c.masking.causal and c.masking.right is not None:
        parameter = _sizes(c, c.masking.left)
        yield Variant(c.with_masking(causal=True, right=None), parameter)


@MISTAKES.add(
    id="W3",
    family="causal",
    title=to_say("chunks of {wanted} keys instead of a window that moves with the query"),
    computed="softmax(where(j ≤ i and ⌊i/{wanted}⌋ = ⌊j/{wanted}⌋, S, −∞)) V",
    wanted=WINDOW,
    fix="visible = (i - j >= 0) & (i - j < window)",
    rarity=6,
)
def chunks_for_window(c: Computation) -> Iterator[Variant]:
    """Each query sees only its own chunk."""
    left = c.masking.left
    if _is_causal(c) and left and not np.ndim(c.masking.offset) and c.masking.right is None:
        chunk = (np.arange(c.n_q) + c.masking.offset) // (left + 1)
        seen = chunk[:, None] == np.arange(c.n_k) // (left + 1)
        yield Variant(_and(c.with_masking(left=None), seen), _sizes(c, left))


@MISTAKES.add(
    id="W3",
    family="causal",
    title=to_say("the first {wanted} keys instead of a window that moves with the query"),
    computed="softmax(where(j ≤ i and j < {wanted}, S, −∞)) V",
    wanted=WINDOW,
    fix="keys[..., -window:, :]  # the last ones, not keys[..., :window, :]",
    threads=("huggingface/transformers#37574",),
    detect="parameter",
    rarity=7,
)
def first_keys_for_window(c: Computation) -> Iterator[Variant]:
    """A cache that is cut at the wrong end."""
    left = c.masking.left
    if _is_causal(c) and left is not None and c.masking.right is None:
        first = np.broadcast_to(np.arange(c.n_k) <= left, (1, c.n_k))
        yield Variant(_and(c.with_masking(left=None), first), _sizes(c, left))


@MISTAKES.add(
    id="W3",
    family="causal",
    title=to_say("a window of {window} keys where none is wanted"),
    computed="softmax(where(0 ≤ i − j < {window}, S, −∞)) V",
    wanted=RIGHT,
    fix=to_say("only local layers have a window: see layer_types or sliding_window_pattern"),
    threads=("sgl-project/sglang#1106", "huggingface/transformers#37574"),
    detect="parameter",
    rarity=5,
)
def window_unwanted(c: Computation) -> Iterator[Variant]:
    """A global layer computed as a local one."""
    if _is_causal(c) and not c.masking.has_window:
        for size in reversed(_powers_of_two(c.n_k)):
            for window in (size, size + 1):
                if window < c.n_k:
                    yield Variant(c.with_masking(left=window - 1), {"window": window})


# keys past the end


TILES = (8, 16, 32, 64, 128, 256)
MOST_ZEROS = 31

TAILS = (
    "flashinfer-ai/flashinfer#3716",
    "hw-native-sys/simpler#72",
    "zml/zml#563",
    "vllm-project/vllm-xpu-kernels#181",
    "leejet/stable-diffusion.cpp#736",
    "flashinfer-ai/flashinfer#5090",
)

Count = Callable[[Computation], Array]
"""A computation -> how many keys of zeros each query sees, broadcasts to
[n_batch, n_head, n_row, 1]."""


def _with_zeros(count: Count) -> Step:
    """The softmax with further keys whose score is 0: k = 0, and v = 0."""

    def weigh(x: Array, c: Computation) -> Array:
        with np.errstate(divide="ignore"):
            extra = np.log(count(c).astype(x.dtype))
        if c.sinks is not None:
            extra = np.logaddexp(extra, np.asarray(c.sinks, x.dtype)[..., :, None, None])
        peak = np.maximum(x.max(-1, keepdims=True), extra)
        peak = np.where(np.isneginf(peak), x.dtype.type(0), peak)
        powers = np.exp(x - peak)
        total = powers.sum(-1, keepdims=True) + np.exp(extra - peak)
        return np.asarray(powers / np.where(total == 0, x.dtype.type(1), total))

    weigh.gives_weights = True  # type: ignore[attr-defined]
    return weigh


def _tails(c: Computation) -> dict[int, int]:
    """How many keys there may be past the end -> the multiple that they fill up."""
    counts = {-c.n_k % tile: tile for tile in reversed(TILES)}
    return {n: counts[n] for n in sorted(counts) if n}


@MISTAKES.add(
    id="T1",
    family="causal",
    title=to_say("{n} keys of zeros past the end that are not masked"),
    computed="Σ exp(S) V / (Σ exp(S) + {n} · e⁰)",
    wanted="Σ exp(S) V / Σ exp(S)",
    fix="scores[..., n_k:] = float('-inf')  # n_k = {n_k}, not the padded length",
    threads=TAILS,
    detect="parameter",
    rarity=3,
)
def tail_of_zeros(c: Computation) -> Iterator[Variant]:
    """The keys are filled up to a multiple of a tile; a key of zeros has the score 0, not -∞."""
    for n, tile in _tails(c).items():
        words = to_say("filled up to a multiple of {tile}", tile=tile)
        yield from _with_tail(c, n, words, tile=tile)
    if 1 not in _tails(c):
        yield from _with_tail(c, 1, "")


@MISTAKES.add(
    id="T1",
    family="causal",
    title=to_say("{n} keys of zeros past the end that are not masked"),
    computed="Σ exp(S) V / (Σ exp(S) + {n} · e⁰)",
    wanted="Σ exp(S) V / Σ exp(S)",
    fix="scores[..., n_k:] = float('-inf')  # n_k = {n_k}, not the padded length",
    threads=TAILS,
    detect="parameter",
    rarity=RARE,
)
def tail_of_some_zeros(c: Computation) -> Iterator[Variant]:
    """Their number fills up no tile."""
    for n in range(2, MOST_ZEROS + 1):
        if n not in _tails(c):
            yield from _with_tail(c, n, "")


def _with_tail(c: Computation, n: int, words: str, **parameter: int) -> Iterator[Variant]:
    if to_weights in c.steps:
        changed = c.instead_of(to_weights, _with_zeros(_always(n)))
        yield Variant(changed, {"n": n, "n_k": c.n_k, **parameter}, words)


def _always(n: int) -> Count:
    return lambda c: np.full((1, 1, 1, 1), n)


@MISTAKES.add(
    id="T1",
    family="causal",
    title=to_say(
        "the causal mask aligned with the padded end: {n} keys of zeros past the last one"
    ),
    computed="softmax(where(j ≤ i + n_k + {n} − n_q, S, −∞)) V, the last {n} keys zero",
    wanted=RIGHT,
    fix="offset = n_k - n_q, n_k = {n_k}, not the padded length",
    threads=TAILS[:3],
    detect="parameter",
    rarity=5,
)
def tail_in_causal_mask(c: Computation) -> Iterator[Variant]:
    """Every query sees as many keys too many as were filled up."""
    if not _is_causal(c) or to_weights not in c.steps or np.ndim(c.masking.offset):
        return
    for n, tile in _tails(c).items():
        further = c.with_masking(offset=c.masking.offset + n)
        changed = further.instead_of(to_weights, _with_zeros(_reached(further.masking, n)))
        yield Variant(changed, {"n": n, "n_k": c.n_k, "tile": tile})


def _reached(masking: Masking, n: int) -> Count:
    """How many of n keys past the end a causal query reaches."""
    last = np.asarray(masking.offset) + masking.ahead
    return lambda c: np.clip(c.rows + last - c.n_k + 1, 0, n)[:, None]


@MISTAKES.add(
    id="T1",
    family="causal",
    title=to_say("padded keys that are zeros and not masked"),
    computed="Σ exp(S) V / (Σ exp(S) + padded keys · e⁰)",
    wanted="Σ exp(S) V / Σ exp(S)",
    fix="mask keys past each text's length: positions < length",
    threads=TAILS[:4],
    rarity=4,
)
def padding_of_zeros(c: Computation) -> Iterator[Variant]:
    """Each item's padded keys and values are zeros where this is computed, whatever the dump holds
    there; they are seen if the causal mask does not hide them."""
    keys = c.masking.keys
    if step_that_hides(c) is None or keys is None or to_weights not in c.steps:
        return
    rest = c.masking.without("padding")

    def count(at: Computation) -> Array:
        reached = rest.visible(at.rows, at.n_k)
        padded = ~keys if reached is None else ~keys & reached
        return np.asarray(padded.sum(-1, keepdims=True))

    yield Variant(c.instead_of(to_weights, _with_zeros(count)))


@MISTAKES.add(
    id="T1",
    family="causal",
    title=to_say("{n} copies of the last key past the end that are not masked"),
    computed="the last key counts {times} times",
    wanted="every key counts once",
    fix="scores[..., n_k:] = float('-inf')  # n_k = {n_k}, not the padded length",
    threads=TAILS[:2],
    detect="parameter",
    rarity=RARE,
)
def tail_of_copies(c: Computation) -> Iterator[Variant]:
    """The keys are filled up to a multiple of a tile with the last one."""
    if to_weights not in c.steps:
        return
    for n, tile in _tails(c).items():
        words = to_say("filled up to a multiple of {tile}", tile=tile)
        parameter = {"n": n, "times": n + 1, "n_k": c.n_k, "tile": tile}
        yield Variant(c.instead_of(to_weights, _last_often(n + 1), to_weights), parameter, words)


def _last_often(times: int) -> Step:
    """The score of the last key, as if it were there several times."""

    def step(x: Array, c: Computation) -> Array:
        often = np.zeros(c.n_k, x.dtype)
        often[-1] = np.log(times)
        return np.asarray(x + often)

    return step


@MISTAKES.add(
    id="T1",
    family="causal",
    title=to_say("the last {n} keys missing: only whole blocks of {tile} are computed"),
    computed="softmax(where(j < {kept}, S, −∞)) V",
    wanted="softmax(S) V, all {n_k} keys",
    fix="blocks = -(-n_k // {tile})  # round up, and mask the rest of the last block",
    threads=("ROCm/triton#409", "flashinfer-ai/flashinfer#3716"),
    detect="parameter",
    rarity=5,
)
def last_block_missing(c: Computation) -> Iterator[Variant]:
    """n_k // block blocks, rounded down."""
    for tile in TILES:
        n = c.n_k % tile
        if 0 < n < c.n_k:
            keys = np.arange(c.n_k) < c.n_k - n
            keys = keys[None, None, None] if c.masking.keys is None else c.masking.keys & keys
            parameter = {"n": n, "tile": tile, "kept": c.n_k - n, "n_k": c.n_k}
            yield Variant(c.with_masking(keys=keys), parameter)
