"""Keys and values that a cache lost, kept twice, or found in the wrong place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, to_weights
from attnviz.analysis.diagnose.facts import Paged
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool

ALL_KEYS = 64
"""Of no more keys than these, each is tried; of more, the ends and those where blocks meet."""

BLOCKS = (16, 64, 128)

APPENDED = "k = cat((k_cache, k_new)), every slot written once"


def likely_keys(c: Computation) -> list[int]:
    """The numbers of keys that a cache may have lost, likeliest first."""
    n, n_past = c.n_k, c.n_k - c.n_q
    ends = [n - 1, 0, n_past - 1, n_past, n - 2, 1]
    if n <= ALL_KEYS:
        rest = list(range(n))
    else:
        rest = [edge for size in BLOCKS for edge in (size - 1, size, n // size * size)]
    return [key for key in dict.fromkeys(ends + rest) if 0 <= key < n]


def without_keys(c: Computation, keep: Bool) -> Computation:
    """With only some of the keys visible: `keep` broadcasts to [n_batch, 1, 1, n_k]."""
    own = c.masking.custom
    keep = keep.reshape((1,) * (4 - keep.ndim) + keep.shape)
    return c.with_masking(custom=keep if own is None else own & keep)


def gathered(c: Computation, tokens: Array) -> Computation:
    """With other keys and values in their places: slot j holds those of token `tokens[j]`."""
    spread = c.spread
    return replace(c, spread=lambda x, n_head: spread(x[..., tokens, :], n_head))


@MISTAKES.add(
    id="K1",
    family="cache",
    title=to_say("key {key} left out"),
    computed="keys 0 … {last} without {key}",
    wanted="keys 0 … {last}",
    fix=to_say("write each new key into slot n_cached, then count it"),
    threads=(
        "microsoft/onnxruntime-genai#2354",
        "OpenDriveLab/AgiBot-World#157",
        "huggingface/transformers#37574",
    ),
    detect="parameter",
    rarity=4,
)
def key_left_out(c: Computation) -> Iterator[Variant]:
    """One slot of the cache is not read: the newest, the first, or one between."""
    if c.n_k < 2:
        return
    if c.masking.keys is not None and c.masking.keys.any(-1).all():
        newest = c.n_k - 1 - c.masking.keys[..., ::-1].argmax(-1, keepdims=True)
        if np.ptp(newest):
            keep = np.arange(c.n_k) != newest
            yield Variant(without_keys(c, keep), {"key": "length - 1", "last": "length - 1"})
    for key in likely_keys(c):
        parameter = {"key": key, "last": c.n_k - 1}
        yield Variant(without_keys(c, np.arange(c.n_k) != key), parameter, f"key {key}")


@MISTAKES.add(
    id="K1",
    family="cache",
    title=to_say("slot {key} of {what} never written, and not masked"),
    computed="{what}[{key}] = 0",
    wanted=APPENDED,
    fix=to_say("write position n_cached + i, not n_cached + i + 1; or mask what was not written"),
    threads=(
        "microsoft/onnxruntime-genai#2354",
        "oxiglade/mlx-rs#338",
        "openvinotoolkit/openvino.genai#3722",
    ),
    detect="parameter",
    rarity=4,
)
def slot_never_written(c: Computation) -> Iterator[Variant]:
    """A hole in the cache is still attended to, with the score 0."""
    if c.n_k < 2:
        return
    for number, key in enumerate(likely_keys(c)):
        for what in ("k, v", "k", "v") if number < 3 else ("k, v",):
            yield Variant(_emptied(c, key, what), {"key": key, "what": what})


def _emptied(c: Computation, key: int, what: str) -> Computation:
    """With zeros for one key, its value, or both."""
    places = np.arange(c.n_k)

    def zeroed(x: Array) -> Array:
        return np.where((places == key)[:, None], x.dtype.type(0), x)

    if "k" in what:
        similarity = c.similarity
        c = replace(c, similarity=lambda q, k: similarity(q, zeroed(k)))
    if "v" in what:
        combine = c.combine
        c = replace(c, combine=lambda weights, v: combine(weights, zeroed(v)))
    return c


@MISTAKES.add(
    id="K1",
    family="cache",
    title=to_say("key {key} counted twice"),
    computed="keys 0 … {last} and {key} once more",
    wanted="keys 0 … {last}",
    fix=to_say("append new keys to the cache once: by update(), or by cat, not by both"),
    threads=(
        "OpenDriveLab/AgiBot-World#157",
        "huggingface/transformers#37574",
        "microsoft/onnxruntime-genai#2354",
    ),
    detect="parameter",
    rarity=5,
)
def key_counted_twice(c: Computation) -> Iterator[Variant]:
    """The same key and value stand in two slots: twice the weight before the sum."""
    if c.n_k < 2 or to_weights not in c.steps:
        return

    def twice(first: int, stop: int) -> Computation:
        places = np.arange(c.n_k)
        more = np.where((places >= first) & (places < stop), math.log(2), 0.0)

        def doubled(x: Array, c: Computation) -> Array:
            return np.asarray(x + more.astype(x.dtype))

        return c.instead_of(to_weights, doubled, to_weights)

    last = c.n_k - 1
    for key in likely_keys(c):
        yield Variant(twice(key, key + 1), {"key": key, "last": last}, f"key {key}")
    n_past = c.n_k - c.n_q
    for first, stop in ((0, n_past), (n_past, c.n_k)):
        if 1 < stop - first < c.n_k:
            keys = f"{first} … {stop - 1}"
            yield Variant(twice(first, stop), {"key": keys, "last": last}, keys)


@MISTAKES.add(
    id="K1",
    family="cache",
    title=to_say("slot {key} holds the key and value of token {token}"),
    computed="k[{key}], v[{key}] = those of token {token}",
    wanted=APPENDED,
    fix=to_say("write position = n_cached, counted up after each token"),
    threads=("microsoft/onnxruntime-genai#2354", "oxiglade/mlx-rs#338"),
    detect="parameter",
    rarity=5,
)
def slot_of_another_token(c: Computation) -> Iterator[Variant]:
    """A token was written over its neighbour, or an old one was not replaced."""
    places = np.arange(c.n_k)
    for key in likely_keys(c):
        for token in (key - 1, key + 1):
            if 0 <= token < c.n_k:
                made = gathered(c, np.where(places == key, token, places))
                parameter = {"key": key, "token": token}
                yield Variant(made, parameter)


@MISTAKES.add(
    id="K1",
    family="cache",
    title=to_say("keys {first} … {last} alone, of {n_k}"),
    computed="softmax over keys {first} … {last}",
    wanted="softmax over all {n_k} keys",
    fix=to_say("k, v = cache.update(k, v) before the product, and use what it returns"),
    threads=("huggingface/transformers#37574", "openvinotoolkit/openvino.genai#3722"),
    detect="parameter",
    rarity=3,
)
def part_of_the_cache(c: Computation) -> Iterator[Variant]:
    """Only the new keys, only the old ones, or a cache that was cut."""
    n, n_past, places = c.n_k, c.n_k - c.n_q, np.arange(c.n_k)
    spans = [(n_past, n), (0, n_past)]
    spans += [(0, n - cut) for cut in (2, 4, 8, 16, 32)] + [(cut, n) for cut in (2, 4, 8, 16)]
    spans += [(0, n // size * size) for size in BLOCKS]
    for first, stop in dict.fromkeys(spans):
        if 0 < stop - first < n - 1 and first >= 0:
            parameter = {"first": first, "last": stop - 1, "n_k": n}
            keep = (places >= first) & (places < stop)
            yield Variant(without_keys(c, keep), parameter, f"{first} … {stop - 1}")


@MISTAKES.add(
    id="K1",
    family="cache",
    title=to_say("new keys put before the cached ones"),
    computed="k = cat((k_new, k_cache))",
    wanted="k = cat((k_cache, k_new))",
    fix=to_say("k = torch.cat((k_cache, k_new), dim=-2), v likewise"),
    threads=("OpenDriveLab/AgiBot-World#157",),
    rarity=5,
)
def new_keys_before_the_cached(c: Computation) -> Iterator[Variant]:
    """The order of keys matters to masks and biases only; without them this is no mistake."""
    n_past = c.n_k - c.n_q
    if n_past > 0 and (not c.masking.is_empty or c.bias is not None):
        yield Variant(gathered(c, np.roll(np.arange(c.n_k), c.n_q)))


@MISTAKES.add(
    id="K1",
    family="cache",
    title=to_say("each item b of the batch with {arrays} of item {items}"),
    computed="{arrays} of item {items}",
    wanted="{arrays} of item b",
    fix=to_say(
        "cache = cache.index_select(0, beam_idx) whenever the batch is put in another order"
    ),
    threads=("huggingface/transformers#46612", "PaddlePaddle/PaddleNLP#6672"),
    rarity=5,
)
def cache_of_another_item(c: Computation) -> Iterator[Variant]:
    """The cache was not reordered with the beams, or all items share one."""
    b = c.k.shape[0]
    if b < 2:
        return
    items = {"b + 1": (np.arange(b) + 1) % b, "0": np.zeros(b, int)}
    if b > 2:
        items |= {"b - 1": np.arange(b) - 1, "n_batch - 1 - b": np.arange(b)[::-1]}
    for words, at in items.items():
        for arrays in ("k, v", "k", "v"):
            made = _of_items(c, np.asarray(at), arrays)
            yield Variant(made, {"items": words, "arrays": arrays})


def _of_items(c: Computation, items: Array, arrays: str) -> Computation:
    if "k" in arrays:
        similarity = c.similarity
        c = replace(c, similarity=lambda q, k: similarity(q, k[items]))
    if "v" in arrays:
        combine = c.combine
        c = replace(c, combine=lambda weights, v: combine(weights, v[items]))
    return c


# a cache in blocks


def slots_of(paged: Paged, n_k: int) -> Array:
    """Where each token lies in memory, block · block_size + place, [n_batch, n_k]."""
    size = paged.keys.shape[1]
    places = np.arange(n_k)
    blocks = np.minimum(places // size, paged.tables.shape[1] - 1)
    return np.asarray(np.maximum(paged.tables[:, blocks], 0) * size + places % size)


def from_slots(c: Computation, slots: Array, arrays: str = "k, v") -> Computation:
    """With keys and values read from other slots of the memory, [n_batch, n_k]; past its end, of
    which nobody knows what is there, the last."""
    paged = c.facts.paged
    assert paged is not None
    made: dict[str, Array] = {}
    for role, memory in (("k", paged.keys), ("v", paged.values)):
        if role in arrays:
            flat = memory.reshape(-1, *memory.shape[2:])
            read = flat[np.clip(slots, 0, len(flat) - 1)]  # [n_batch, n_k, n_kv_head, d]
            made[role] = read.swapaxes(1, 2).astype(c.q.dtype)
    return replace(c, k=made.get("k", c.k), v=made.get("v", c.v))


def same_reading(c: Computation, slots: Array) -> bool:
    """Whether slots hold what is wanted, of the tokens that each text has.

    slots [n_batch, n_k]: numbers of slots.
    """
    paged = c.facts.paged
    assert paged is not None
    has = np.arange(slots.shape[1]) < np.asarray(paged.lengths)[:, None]
    return bool((slots == slots_of(paged, slots.shape[1]))[has].all())


BY_TABLE = "token t in block tables[b, t // {block_size}], slot t % {block_size}"


@MISTAKES.add(
    id="K2",
    family="cache",
    title=to_say(
        "{arrays} of a paged cache read from blocks {blocks}, not from those of its table"
    ),
    computed="token t in block {blocks}",
    wanted=BY_TABLE,
    fix="block = block_tables[b, t // block_size]; slot = block * block_size + t % block_size",
    threads=("golang-design/accel#10", "vllm-project/vllm#54296", "hw-native-sys/pypto#470"),
    detect="more",
    rarity=3,
)
def block_table_ignored(c: Computation) -> Iterator[Variant]:
    """Blocks are taken in the order of memory, all items read one table, or only each other block
    is looked up."""
    paged = c.facts.paged
    if paged is None:
        return
    size, tables = paged.keys.shape[1], np.maximum(paged.tables, 0)
    b, most = tables.shape
    places = np.arange(c.n_k)
    block = np.minimum(places // size, most - 1)
    counts = -(-np.asarray(paged.lengths) // size)
    before = (np.cumsum(counts) - counts)[:, None]
    ways: dict[str, Array] = {
        "t // block_size": np.tile(block, (b, 1)),
        "Σ n_block[:b] + t // block_size": before + block,
        "b · max_blocks + t // block_size": np.arange(b)[:, None] * most + block,
        "tables[b, 0] + t // block_size": tables[:, :1] + block,
        "tables[0, t // block_size]": np.tile(tables[0, block], (b, 1)),
        "tables[b, 0]": np.tile(tables[:, :1], (1, c.n_k)),
        "tables[b, 2i], tables[b, 2i] + 1": tables[:, block // 2 * 2] + block % 2,
    }
    yield from _by_blocks(c, ways, ("k, v", "k", "v"))


@MISTAKES.add(
    id="K2",
    family="cache",
    title=to_say("{arrays} of a paged cache read one block off: {blocks}"),
    computed="token t in block {blocks}",
    wanted=BY_TABLE,
    fix=to_say("the first block of text b is block_tables[b, 0], counted from 0"),
    threads=("golang-design/accel#10", "microsoft/onnxruntime#32391"),
    detect="more",
    rarity=4,
)
def one_block_off(c: Computation) -> Iterator[Variant]:
    """The next entry of the table, or the next block of the memory."""
    paged = c.facts.paged
    if paged is None:
        return
    size, tables = paged.keys.shape[1], np.maximum(paged.tables, 0)
    most = tables.shape[1]
    block = np.minimum(np.arange(c.n_k) // size, most - 1)
    ways: dict[str, Array] = {
        "tables[b, t // block_size + 1]": tables[:, np.minimum(block + 1, most - 1)],
        "tables[b, t // block_size - 1]": tables[:, np.maximum(block - 1, 0)],
        "tables[b, t // block_size] + 1": tables[:, block] + 1,
        "tables[b, t // block_size] - 1": tables[:, block] - 1,
        "tables[b + 1, t // block_size]": np.roll(tables, -1, 0)[:, block],
    }
    yield from _by_blocks(c, ways, ("k, v",))


def _by_blocks(c: Computation, ways: dict[str, Array], sets: tuple[str, ...]) -> Iterator[Variant]:
    """The variants that read other blocks, [n_batch, n_k] each."""
    paged = c.facts.paged
    assert paged is not None
    size = paged.keys.shape[1]
    for words, blocks in ways.items():
        slots = blocks * size + np.arange(c.n_k) % size
        if not same_reading(c, slots):
            for arrays in sets:
                parameter = {"blocks": words, "arrays": arrays, "block_size": size}
                yield Variant(from_slots(c, slots, arrays), parameter)


@MISTAKES.add(
    id="K2",
    family="cache",
    title=to_say("a paged cache read with blocks of {size}, not {block_size}: {computed}"),
    computed="{computed}",
    wanted=BY_TABLE,
    fix=to_say("block_size = {block_size}, as the cache was allocated"),
    threads=("flashinfer-ai/flashinfer#4347", "golang-design/accel#10"),
    detect="more",
    rarity=4,
)
def wrong_block_size(c: Computation) -> Iterator[Variant]:
    """The kernel was compiled for another page; both for the table and for the memory, or for the
    table only."""
    paged = c.facts.paged
    if paged is None:
        return
    own, tables = paged.keys.shape[1], np.maximum(paged.tables, 0)
    places = np.arange(c.n_k)
    sizes = (16, own // 2, 2 * own, 32, 64, 128, 256, own - 1, own + 1)
    for size in dict.fromkeys(size for size in sizes if size > 0 and size != own):
        blocks = tables[:, np.minimum(places // size, tables.shape[1] - 1)]
        for stride in (size, own):
            slots = blocks * stride + places % size
            if not same_reading(c, slots):
                code = f"slot tables[b, t // {size}] · {stride} + t % {size}"
                parameter = {"size": size, "block_size": own, "computed": code}
                yield Variant(from_slots(c, slots), parameter, code)


@MISTAKES.add(
    id="K2",
    family="cache",
    title=to_say("the last block read to its end: slots after the text are not masked"),
    computed="softmax over ⌈length / {block_size}⌉ · {block_size} keys",
    wanted="softmax over the keys of the text",
    fix=to_say("mask t >= context_len, in the last block too"),
    threads=("golang-design/accel#10", "flashinfer-ai/flashinfer#4347"),
    detect="more",
    rarity=3,
)
def stale_slots_of_the_last_block(c: Computation) -> Iterator[Variant]:
    """What an earlier text left there takes part."""
    paged = c.facts.paged
    if paged is None or c.bias is not None:
        return
    size, lengths = paged.keys.shape[1], np.asarray(paged.lengths)
    ends = -(-lengths // size) * size
    n = int(ends.max(initial=0))
    if (ends == lengths).all() or n < c.n_k:
        return
    rows = np.arange(c.n_q)
    seen = c.masking.visible(rows, c.n_k)
    shape = np.broadcast_shapes((len(lengths), 1, c.n_q, c.n_k), () if seen is None else seen.shape)
    whole = np.zeros((*shape[:3], n), bool)
    whole[..., : c.n_k] = True if seen is None else seen
    places = np.arange(n)
    stale = (places >= lengths[:, None]) & (places < ends[:, None])
    whole |= stale[:, None, None]
    made = from_slots(replace(c, masking=Masking(custom=whole)), slots_of(paged, n))
    yield Variant(made, {"block_size": size})
