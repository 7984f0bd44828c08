"""A mask that reaches other items, heads, queries or keys than it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.hiding import (
    RIGHT,
    misread,
    step_that_hides,
)
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool


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
