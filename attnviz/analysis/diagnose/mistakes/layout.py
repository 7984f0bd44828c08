"""Axes confused: reshaped where a transpose was needed, read in another order than written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.analysis.diagnose.rotary import projections, with_projections
from attnviz.language import to_say
from attnviz.nn.types import Array

Change = Callable[[Array], Array]

ALONE_OR_ALL = ("qkv", "v", "k", "q", "qk", "kv")
"""Which of the arrays a change is made to, likeliest first."""

SPLIT = to_say(
    "x.view(b, n, h, d).transpose(1, 2), and back out.transpose(1, 2).reshape(b, n, h * d)"
)
MERGED = "out = context.transpose(1, 2).reshape(b, n, h * d)"


def listed(roles: Iterable[str]) -> str:
    return ", ".join(roles)


def changed(
    c: Computation, change: Change, sets: Iterable[str] = ALONE_OR_ALL, *, projected: bool = False
) -> Iterator[tuple[str, Computation]]:
    """The computations whose q, k or v (letters of each set) went through a change, and which
    ones: as they enter q · k, or, with `projected`, before they are rotated. A set is left out
    that has no effect beyond that of an earlier one."""
    old: dict[str, Array] = (
        projections(c) if projected else {role: getattr(c, role) for role in "qkv"}
    )
    new: dict[str, Any] = {}
    for role in sorted(set("".join(sets))):
        made = change(old[role])
        if not np.array_equal(made, old[role], equal_nan=True):
            new[role] = made
    for roles in dict.fromkeys(tuple(role for role in each if role in new) for each in sets):
        if roles:
            parts = {role: new[role] for role in roles}
            yield listed(roles), with_projections(c, parts) if projected else replace(c, **parts)


def afterwards(c: Computation, change: Change, *, mixes_rows: bool = False) -> Computation:
    """With one more change of the context, [n_batch, n_head, n_row, d_v]."""
    before = c.finish
    return replace(c, finish=lambda x: change(before(x)), mixes_rows=c.mixes_rows or mixes_rows)


# heads are split and merged


def viewed(x: Array) -> Array:
    """[b, h, n, d], in memory as the projection [b, n, h·d], viewed as [b, h, n, d]."""
    return x.swapaxes(1, 2).reshape(x.shape)


def merged_by_view(x: Array) -> Array:
    """[b, h, n, d] viewed as [b, n, h·d], and what then counts as [b, h, n, d]."""
    b, h, n, d = x.shape
    return x.reshape(b, n, h, d).swapaxes(1, 2)


def has_axes_to_confuse(x: Array) -> bool:
    """Whether x [b, h, n, d] has more than one head and more than one token."""
    return bool(min(x.shape[1:3]) > 1)


@MISTAKES.add(
    id="L1",
    family="layout",
    title=to_say("{arrays} viewed as [batch, head, n, d] without a transpose"),
    computed="q = x.view(b, h, n, d)",
    wanted="q = x.view(b, n, h, d).transpose(1, 2)",
    fix=SPLIT,
    threads=(
        "reczoo/FuxiCTR#30",
        "hyunwoongko/transformer#15",
        "datawhalechina/deep-learning-notes#11",
        "jadore801120/attention-is-all-you-need-pytorch#177",
    ),
    pairs=True,
    rarity=2,
)
def split_without_transpose(c: Computation) -> Iterator[Variant]:
    """The projection [b, n, h·d] is viewed as [b, h, n, d]: tokens and heads are scrambled.

    Whoever views back without a transpose too has scrambled them consistently: the first variant.
    """
    for number, (arrays, made) in enumerate(changed(c, viewed, projected=True)):
        if number == 0 and has_axes_to_confuse(c.q):
            both = f"{arrays}, out"
            merged = afterwards(made, merged_by_view, mixes_rows=True)
            yield Variant(merged, {"arrays": both}, both)
        yield Variant(made, {"arrays": arrays}, arrays)


@MISTAKES.add(
    id="L2",
    family="layout",
    title=to_say("heads merged without a transpose"),
    computed="out = context.reshape(b, n, h·d)",
    wanted="out = context.transpose(1, 2).reshape(b, n, h·d)",
    fix=MERGED,
    threads=(
        "jsbaan/transformer-from-scratch#4",
        "vllm-project/vllm#11979",
        "hackiey/QAnet-pytorch#2",
        "ajhalthor/Transformer-Neural-Network#4",
        "649453932/Chinese-Text-Classification-Pytorch#10",
        "meta-pytorch/opacus#825",
    ),
    pairs=True,
    rarity=1,
)
def merged_without_transpose(c: Computation) -> Iterator[Variant]:
    """The context [b, h, n, d] is reshaped to [b, n, h·d] as it lies."""
    if has_axes_to_confuse(c.q):
        yield Variant(afterwards(c, merged_by_view, mixes_rows=True))


@MISTAKES.add(
    id="L2",
    family="layout",
    title=to_say("heads stacked before the batch, taken for batch before heads: {computed}"),
    computed="out = {computed}",
    wanted="out = context.view(h, b, n, d).permute(1, 2, 0, 3).reshape(b, n, h·d)",
    fix="out = context.view(h, b, n, d).permute(1, 2, 0, 3).reshape(b, n, h * d)",
    threads=(
        "gazelle93/Transformer-Various-Positional-Encoding#1",
        "jadore801120/attention-is-all-you-need-pytorch#7",
    ),
    rarity=5,
)
def batch_and_heads_swapped(c: Computation) -> Iterator[Variant]:
    """The context is [h·b, n, d], and merged as if it were [b·h, n, d] or [b, n, h·d]."""
    b, h = c.q.shape[:2]
    if b < 2 or h < 2:
        return

    def as_batch_first(x: Array) -> Array:
        return x.swapaxes(0, 1).reshape(x.shape)

    def viewed_back(x: Array) -> Array:
        return merged_by_view(as_batch_first(x))

    def heads_permuted(x: Array) -> Array:
        n, d = x.shape[2:]
        return x.transpose(1, 2, 0, 3).reshape(b, n, h, d).swapaxes(1, 2)

    for code, change, mixes_rows in (
        ("context.view(b, h, n, d)", as_batch_first, False),
        ("context.view(b, n, h·d)", viewed_back, True),
        ("context.view(h, b, n, d).transpose(1, 2).view(b, n, h·d)", heads_permuted, True),
    ):
        yield Variant(afterwards(c, change, mixes_rows=mixes_rows), {"computed": code}, code)


@MISTAKES.add(
    id="L2",
    family="layout",
    title=to_say("{arrays} with the heads innermost in the width, [d·h], not [h·d]"),
    computed="rearrange(x, 'b n (d h) -> b h n d')",
    wanted="rearrange(x, 'b n (h d) -> b h n d')",
    fix="rearrange(x, 'b n (h d) -> b h n d')",
    threads=(),
    rarity=6,
)
def heads_innermost(c: Computation) -> Iterator[Variant]:
    """The width is split as d·h: each head takes every h-th feature."""

    def split(x: Array) -> Array:
        b, h, n, d = x.shape
        return x.swapaxes(1, 2).reshape(b, n, d, h).transpose(0, 3, 1, 2)

    def merged(x: Array) -> Array:
        b, h, n, d = x.shape
        return x.transpose(0, 2, 3, 1).reshape(b, n, h, d).swapaxes(1, 2)

    if c.n_head < 2:
        return
    for number, (arrays, made) in enumerate(changed(c, split, projected=True)):
        if number == 0:
            both = f"{arrays}, out"
            yield Variant(afterwards(made, merged), {"arrays": both}, both)
        yield Variant(made, {"arrays": arrays}, arrays)
    yield Variant(afterwards(c, merged), {"arrays": "out"}, "out")


@MISTAKES.add(
    id="L2",
    family="layout",
    title=to_say("the output of each head reshaped from [n, d] to [d, n], not transposed"),
    computed="context.reshape(b, h, d, n)",
    wanted="context.transpose(-1, -2)",
    fix="context.transpose(-1, -2).reshape(b, h * d, height, width)",
    threads=("leaderj1001/Attention-Augmented-Conv2d#21",),
    rarity=6,
)
def output_reshaped_to_channels(c: Computation) -> Iterator[Variant]:
    """Channels come first, as for images, by a reshape: features and tokens are mixed."""
    if c.n_q > 1 and c.v.shape[-1] > 1:
        yield Variant(afterwards(c, reshaped_not_transposed, mixes_rows=True))


def reshaped_not_transposed(x: Array) -> Array:
    """[…, n, d] reshaped to […, d, n], and what then counts as […, n, d]."""
    n, d = x.shape[-2:]
    return x.reshape(*x.shape[:-2], d, n).swapaxes(-1, -2)


def stored_transposed(x: Array) -> Array:
    """[…, n, d] written as […, d, n], and read as […, n, d]."""
    return x.swapaxes(-1, -2).reshape(x.shape)


@MISTAKES.add(
    id="L7",
    family="layout",
    title=to_say("{arrays} reshaped between [n, d] and [d, n], not transposed"),
    computed="scores = q @ k.view(b, h, d, n)",
    wanted="scores = q @ k.transpose(-2, -1)",
    fix="scores = q @ k.transpose(-2, -1)",
    threads=(),
    rarity=5,
)
def reshaped_instead_of_transposed(c: Computation) -> Iterator[Variant]:
    """Keys are brought to [d, n] by a view, or a cache that holds them so is read as [n, d]."""
    if c.n_k < 2:
        return
    for change in (reshaped_not_transposed, stored_transposed):
        for arrays, made in changed(c, change, ("k", "v", "kv")):
            yield Variant(made, {"arrays": arrays}, arrays)


# another axis in the place of the tokens


def _across(c: Computation, axis: int, masking: Masking, *, same: bool) -> Computation:
    """Attention along the batch (0) or the heads (1); with `same`, all else fits as it is."""
    n_q = c.q.shape[axis]
    before = c.finish
    return replace(
        c,
        **{role: getattr(c, role).swapaxes(axis, 2) for role in "qkv"},
        rows=np.arange(n_q),
        n_q=n_q,
        bias=c.bias if same else None,
        sinks=c.sinks if same or axis == 0 else None,
        masking=masking,
        finish=lambda x: before(x.swapaxes(axis, 2)),
        mixes_rows=True,
        facts=Facts(d_model=c.facts.d_model),  # the others have the axes in their old order
    )


def _variants_across(c: Computation, axis: int) -> Iterator[Variant]:
    n = {c.n_q, c.n_k}
    if len(n) > 1 or np.size(c.scale) > 1:
        return
    if n == {c.q.shape[axis], c.k.shape[axis]}:
        yield Variant(_across(c, axis, c.masking, same=True))
        return
    if c.masking.causal:
        causal = Masking(causal=True, ahead=c.masking.ahead)
        yield Variant(_across(c, axis, causal, same=False), {"causal": True})
    words = "" if c.masking.is_empty else to_say("without the mask")
    yield Variant(_across(c, axis, Masking(), same=False), {"causal": False}, words)


@MISTAKES.add(
    id="L3",
    family="layout",
    title=to_say("[batch, head, n, d] read as [batch, n, head, d]: attention across the heads"),
    computed="attention over the heads of each token",
    wanted="attention over the tokens of each head",
    fix=to_say("q, k, v = (x.transpose(1, 2) for x in (q, k, v)), and the output back"),
    threads=(
        "InternLM/lmdeploy#2957",
        "vllm-project/vllm-xpu-kernels#479",
        "huggingface/diffusers#14341",
        "triton-lang/triton#2626",
        "Project-MONAI/MONAI#7977",
        "fla-org/flash-linear-attention#1136",
    ),
    pairs=True,
    rarity=2,
)
def heads_in_place_of_tokens(c: Computation) -> Iterator[Variant]:
    """The layout that the function expects has heads and tokens the other way round."""
    if c.n_head > 1:
        yield from _variants_across(c, 1)


@MISTAKES.add(
    id="L4",
    family="layout",
    title=to_say("batch and sequence swapped: attention across the batch"),
    computed="attention over the items of the batch, at each position",
    wanted="attention over the tokens of each item",
    fix="nn.MultiheadAttention(…, batch_first=True)",
    threads=(
        "aipixel/AEMatter#3",
        "om-ai-lab/OmDet#19",
        "IBM/TabFormer#14",
        "rish-16/tokenlearner-pytorch#1",
        "pytorch/pytorch#122959",
        "kyegomez/movie-gen#8",
    ),
    pairs=True,
    rarity=1,
)
def batch_in_place_of_tokens(c: Computation) -> Iterator[Variant]:
    """[batch, n, width] went into a module that takes [n, batch, width]; with a batch of one, each
    token sees only itself, and the output is v."""
    yield from _variants_across(c, 0)


@MISTAKES.add(
    id="L8",
    family="layout",
    title=to_say("the weights transposed on the values"),
    computed="PᵀV",
    wanted="PV",
    fix="context = weights @ v",
    threads=("heykeetae/Self-Attention-GAN#11",),
    rarity=3,
)
def weights_transposed(c: Computation) -> Iterator[Variant]:
    """Each key's value is handed out by queries, not gathered."""
    if c.n_q == c.n_k > 1:
        combine = c.combine
        yield Variant(
            replace(c, combine=lambda w, v: combine(w.swapaxes(-1, -2), v), mixes_rows=True)
        )


# the fused projection


def packed(q: Array, k: Array, v: Array, order: str) -> Array:
    """[b, h or h_kv, n, d] -> [b, n, width] as a fused projection of that order writes them."""
    b, _, n, _ = q.shape
    h_kv = k.shape[1]
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))  # [b, n, head, d]
    if order == "grouped":
        parts = q.reshape(b, n, h_kv, -1), k, v
        return np.concatenate(parts, -1).reshape(b, n, -1)
    if order == "innermost":
        return np.stack((q, k, v), -1).reshape(b, n, -1)
    return np.concatenate([x.reshape(b, n, -1) for x in (q, k, v)], -1)


def unpacked(fused: Array, h: int, h_kv: int, order: str) -> tuple[Array, Array, Array]:
    """The inverse of `packed`.

    fused [n_batch, n, width] -> q, k, v [n_batch, heads, n, d].
    """
    b, n, width = fused.shape
    d = width // (h + 2 * h_kv)
    if order == "grouped":
        group = fused.reshape(b, n, h_kv, -1)
        cut = h // h_kv * d
        parts = group[..., :cut], group[..., cut : cut + d], group[..., cut + d :]
    elif order == "innermost":
        each = fused.reshape(b, n, h, d, 3)
        parts = each[..., 0], each[..., 1], each[..., 2]
    else:
        parts = fused[..., : h * d], fused[..., h * d : -h_kv * d], fused[..., -h_kv * d :]
    q, k, v = (x.reshape(b, n, -1, d).swapaxes(1, 2) for x in parts)
    return q, k, v


def orders(c: Computation) -> tuple[str, ...]:
    """Those in which a fused projection may have been written, and give different numbers."""
    if c.n_head == c.n_kv_head:
        return ("concatenated", "grouped", "innermost") if c.n_head > 1 else ()
    return ("concatenated", "grouped") if c.n_kv_head > 1 else ()


ORDER_SIGNS = {
    "concatenated": "[Q | K | V]",
    "grouped": "[q₀ k₀ v₀ | q₁ k₁ v₁ | …]",
    "innermost": "[…, h, d, 3]",
}
"""How each order is written; by groups of query heads, q₀ stands for all of a group."""


def can_be_fused(c: Computation) -> bool:
    return c.n_q == c.n_k and c.d_k == c.v.shape[-1] and c.q.shape[0] == c.k.shape[0]


@MISTAKES.add(
    id="L5",
    family="layout",
    title=to_say("a fused projection that is written as {written} split as {read}"),
    computed="q, k, v = split(qkv) as {read}",
    wanted="q, k, v = split(qkv) as {written}",
    fix=to_say(
        "qkv.view(b, n, 3, h, d) for [Q | K | V]; qkv.view(b, n, h, 3, d) for heads one by one"
    ),
    threads=(
        "vllm-project/vllm#53114",
        "lablup/mlxcel#928",
        "NVIDIA-NeMo/RL#2802",
        "tenstorrent/tt-metal#41731",
        "tenstorrent/tt-metal#38321",
        "AutoGPTQ/AutoGPTQ#436",
    ),
    pairs=True,
    rarity=3,
)
def fused_in_another_order(c: Computation) -> Iterator[Variant]:
    """Channels of q, k and v are taken for each other: same shapes, wrong numbers."""
    if not can_be_fused(c):
        return
    known = orders(c)
    for written in known:
        fused = packed(**projections(c), order=written)
        if c.facts.fused is not None and not _is(fused, c.facts.fused):
            continue
        for read in known:
            if read != written:
                parts = unpacked(fused, c.n_head, c.n_kv_head, read)
                made = with_projections(c, dict(zip("qkv", parts, strict=True)))
                parameter = {"written": ORDER_SIGNS[written], "read": ORDER_SIGNS[read]}
                yield Variant(made, parameter)


def _is(made: Array, given: Array) -> bool:
    """Whether an array is the given one but for rounding, on its first tokens."""
    if made.shape != given.shape:
        return False
    a, b = (np.asarray(x[:, :4], np.float64) for x in (made, given))
    scale = np.abs(b).max(initial=0)
    return bool(np.allclose(a, b, rtol=0, atol=0.02 * scale))


@MISTAKES.add(
    id="L6",
    family="layout",
    title=to_say("the weight of {arrays} not transposed, as GPT-2's Conv1D stores it"),
    computed="x Wᵀ",
    wanted="x W",
    fix="linear.weight.data = conv1d.weight.data.T",
    threads=("AutoGPTQ/AutoGPTQ#95", "AutoGPTQ/AutoGPTQ#139", "nntile/nntile#370"),
    detect="more",
    rarity=5,
)
def weight_not_transposed(c: Computation) -> Iterator[Variant]:
    """A square weight goes into a layer that stores the other way round, without an error; or the
    numbers of a fused one are read in the other order."""
    if c.facts.inputs is None:
        return
    x, weight = (np.asarray(part, c.q.dtype) for part in c.facts.inputs)
    names = {"qkv": "q, k, v", "q": "q", "k": "k", "v": "v"}
    pieces = _by_role(c, weight)
    if pieces is None or not len(x[0]) == c.n_q == c.n_k:
        return
    square = [role for role in "qkv" if pieces[role].shape[0] == pieces[role].shape[1]]
    new = {role: _projected(c, role, x, pieces[role].T, pieces[role]) for role in square}
    for roles in dict.fromkeys((("qkv",) if len(square) == 3 else ()) + tuple(square)):
        yield _with(c, {role: new[role] for role in roles}, names[roles])
    other = _by_role(c, weight.reshape(weight.shape[::-1]).T)
    if other is not None and weight.shape[0] != weight.shape[1]:
        made = {role: _projected(c, role, x, other[role], pieces[role]) for role in "qkv"}
        words = to_say("its numbers read in the other order")
        yield _with(c, made, names["qkv"])._replace(words=words)


@MISTAKES.add(
    id="L6",
    family="layout",
    title=to_say("no bias in the projection of {arrays}"),
    computed="x W",
    wanted="x W + b",
    fix=to_say("nn.Linear(d_model, width, bias=True), with the bias of the checkpoint"),
    threads=("AutoGPTQ/AutoGPTQ#139", "nntile/nntile#402"),
    detect="more",
    rarity=4,
)
def projection_without_bias(c: Computation) -> Iterator[Variant]:
    """The bias of a projection was not loaded."""
    if c.facts.inputs is None:
        return
    x, weight = (np.asarray(part, c.q.dtype) for part in c.facts.inputs)
    pieces = _by_role(c, weight)
    if pieces is None or not len(x[0]) == c.n_q == c.n_k:
        return
    new: dict[str, Any] = {}
    for role in "qkv":
        bias = _bias(c, role, x, pieces[role])
        if np.abs(bias).max() > 0.01 * np.abs(projections(c)[role]).max():
            new[role] = projections(c)[role] - bias
    for roles in dict.fromkeys(("".join(new), *new)):
        if roles:
            yield _with(c, {role: new[role] for role in roles}, listed(roles))


def _with(c: Computation, new: dict[str, Array], arrays: str) -> Variant:
    return Variant(with_projections(c, new), {"arrays": arrays}, arrays)


def _by_role(c: Computation, weight: Array) -> dict[str, Array] | None:
    """The columns [d_model, width] of the fused weight that give q, k and v."""
    widths = [getattr(c, role).shape[1] * getattr(c, role).shape[3] for role in "qkv"]
    if weight.shape[1] != sum(widths):
        return None
    return dict(zip("qkv", np.split(weight, np.cumsum(widths)[:-1], axis=1), strict=True))


def _heads(x: Array, weight: Array, n_head: int) -> Array:
    made = x @ weight
    return made.reshape(*made.shape[:2], n_head, -1).swapaxes(1, 2)


def _bias(c: Computation, role: str, x: Array, weight: Array) -> Array:
    """What is added to x W, the same at each token: [1, head, 1, d]."""
    wanted = projections(c)[role]
    rest = wanted - _heads(x, weight, wanted.shape[1])
    return np.asarray(rest.mean((0, 2), keepdims=True))


def _projected(c: Computation, role: str, x: Array, weight: Array, right: Array) -> Array:
    """x W' + b, with the bias that the right weight leaves."""
    return _heads(x, weight, projections(c)[role].shape[1]) + _bias(c, role, x, right)


# memory


@MISTAKES.add(
    id="L7",
    family="layout",
    title=to_say("{arrays}: a transposed view read as if it were contiguous"),
    computed="x[b, h, n, d] at ((b·H + h)·N + n)·D + d, written at ((b·N + n)·H + h)·D + d",
    wanted="x[b, h, n, d] by its strides",
    fix="q, k, v = (x.contiguous() for x in (q, k, v))",
    threads=(
        "pytorch/pytorch#181133",
        "pytorch/pytorch#163597",
        "PriorLabs/TabPFN#888",
        "BobMcDear/attorch#14",
        "flagos-ai/FlagGems#5896",
        "Dao-AILab/flash-attention#2541",
    ),
    rarity=3,
)
def transposed_read_as_contiguous(c: Computation) -> Iterator[Variant]:
    """A kernel ignores the strides of x.transpose(1, 2), or of a part of a fused projection."""
    for arrays, made in changed(c, viewed):
        yield Variant(made, {"arrays": arrays}, arrays)


@MISTAKES.add(
    id="L7",
    family="layout",
    title=to_say("q, k, v, parts of a fused projection, read as if each were contiguous"),
    computed="q[b, h, n, d] at ((b·H + h)·N + n)·D + d of the memory of qkv",
    wanted="q[b, h, n, d] by its strides",
    fix="q, k, v = (x.contiguous() for x in qkv.chunk(3, dim=-1))",
    threads=(
        "torch-spyre/torch-spyre#4331",
        "pytorch/pytorch#181133",
        "Dao-AILab/flash-attention#2666",
    ),
    rarity=5,
)
def fused_parts_read_as_contiguous(c: Computation) -> Iterator[Variant]:
    """A kernel ignores that q, k and v are slices of one tensor [b, n, 3·h·d]."""
    if not can_be_fused(c) or c.facts.rotary is not None:  # a rotation writes new arrays
        return
    flat = packed(c.q, c.k, c.v, "concatenated").ravel()
    starts = np.cumsum([0, c.n_head * c.d_k, c.n_kv_head * c.d_k])
    new: dict[str, Any] = {}
    for role, start in zip("qkv", starts, strict=True):
        old = getattr(c, role)
        if start + old.size > flat.size:
            return
        new[role] = flat[start : start + old.size].reshape(old.shape)
    yield Variant(replace(c, **new))


@MISTAKES.add(
    id="L7",
    family="layout",
    title=to_say("{arrays}: every head reads head 0"),
    computed="head h of {arrays} = head 0",
    wanted="head h of {arrays} = head h",
    fix=to_say("q, k, v = (x.contiguous() for x in (q, k, v)); a kernel takes strides, not shapes"),
    threads=("BobMcDear/attorch#14", "pytorch/pytorch#174861", "pytorch/pytorch#197636"),
    pairs=True,
    rarity=3,
)
def every_head_reads_head_0(c: Computation) -> Iterator[Variant]:
    """The stride of the heads is 0, or rounded down to it."""

    def head_0(x: Array) -> Array:
        return np.broadcast_to(x[:, :1], x.shape)

    for arrays, made in changed(c, head_0, ("qkv", "k", "v", "q", "qk")):
        yield Variant(made, {"arrays": arrays}, arrays)


@MISTAKES.add(
    id="L7",
    family="layout",
    title=to_say("{arrays}: each head h reads head h{shift:+d} in memory"),
    computed="head h of {arrays} = head h{shift:+d}",
    wanted="head h of {arrays} = head h",
    fix=to_say("the offset of a head in memory is h · stride_h, counted from head 0"),
    threads=("BobMcDear/attorch#14", "PriorLabs/TabPFN#888"),
    rarity=6,
)
def offset_by_a_head(c: Computation) -> Iterator[Variant]:
    """The pointer is off by one head, over the whole memory of the batch."""
    for shift in (1, -1):

        def moved(x: Array, shift: int = shift) -> Array:
            flat = x.reshape(-1, *x.shape[2:])
            return np.roll(flat, -shift, 0).reshape(x.shape)

        for arrays, made in changed(c, moved, ("qkv", "kv", "k", "v", "q")):
            yield Variant(made, {"arrays": arrays, "shift": shift})
