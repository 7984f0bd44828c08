"""Heads that read another head's keys and values, and q, k, v taken for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.mistakes.layout import afterwards
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.analysis.diagnose.rotary import projections
from attnviz.language import to_say
from attnviz.nn.types import Array

REPEATED = "k = k.repeat_interleave(h // h_kv, dim=1), v likewise, [b, h_kv, n, d]"
OWN_HEAD = "query head h reads key/value head h // {group}"


def reading(c: Computation, heads: Array, roles: str = "kv") -> Computation:
    """Each query head reads the keys and values (or one of the two) of another head: `heads`
    [n_head] are numbers below n_kv_head."""
    if roles == "kv":
        return replace(c, spread=lambda x, n_head: x[..., heads, :, :])
    at = heads * (c.n_head // c.n_kv_head)  # of heads that are spread already
    if roles == "k":
        similarity = c.similarity
        return replace(c, similarity=lambda q, k: similarity(q, k[..., at, :, :]))
    combine = c.combine
    return replace(c, combine=lambda w, v: combine(w, v[..., at, :, :]))


def _group(c: Computation) -> int:
    return c.n_head // c.n_kv_head


@MISTAKES.add(
    id="G1",
    family="heads",
    title=to_say("key/value heads tiled, not repeated: head h reads h mod {n_kv_head} ({arrays})"),
    computed="query head h reads key/value head h mod {n_kv_head}",
    wanted=OWN_HEAD,
    fix=to_say("k.repeat_interleave(h // h_kv, dim=1), not k.repeat(1, h // h_kv, 1, 1)"),
    threads=(
        "ekzhang/jax-js#180",
        "apple/axlearn#842",
        "EricLBuehler/candle-vllm#52",
        "onnx/onnx#7274",
    ),
    pairs=True,
    rarity=1,
)
def heads_tiled(c: Computation) -> Iterator[Variant]:
    """Grouped queries: consecutive query heads share a key/value head; with `repeat` or `tile`,
    every n_kv_head-th does."""
    if not 1 < c.n_kv_head < c.n_head:
        return
    heads = np.arange(c.n_head) % c.n_kv_head
    facts = {"n_kv_head": c.n_kv_head, "group": _group(c)}
    for roles, arrays in (("kv", "k, v"), ("k", "k"), ("v", "v")):
        yield Variant(reading(c, heads, roles), {"arrays": arrays, **facts}, arrays)
    order = np.arange(c.n_head).reshape(c.n_kv_head, -1).T.ravel()
    yield Variant(afterwards(c, lambda x: x[..., order, :, :]), {"arrays": "out", **facts}, "out")


@MISTAKES.add(
    id="G2",
    family="heads",
    title=to_say("query head h reads key/value head h // {divisor}"),
    computed="query head h reads key/value head h // {divisor}",
    wanted=OWN_HEAD,
    fix="kv_head = head // (n_head // n_kv_head)",
    threads=("PSAL-POSTECH/ONNXim#34", "PSAL-POSTECH/ONNXim#33", "BobMcDear/attorch#14"),
    detect="parameter",
    pairs=True,
    rarity=3,
)
def wrong_divisor(c: Computation) -> Iterator[Variant]:
    """Divided by the number of key/value heads, say: all heads collapse onto the first ones, or
    read past the last (which is then taken again)."""
    if c.n_kv_head < 2:
        return
    group, seen = _group(c), set()
    for divisor in dict.fromkeys((c.n_kv_head, c.n_head, 2 * group, group // 2, *range(1, 9))):
        heads = np.arange(c.n_head) // divisor if divisor else np.arange(0)
        if divisor in (0, group) or divisor > c.n_head:
            continue
        heads = np.minimum(heads, c.n_kv_head - 1)
        if (key := heads.tobytes()) not in seen:
            seen.add(key)
            parameter = {"divisor": divisor, "group": group}
            yield Variant(reading(c, heads), parameter, f"h // {divisor}")


@MISTAKES.add(
    id="G2",
    family="heads",
    title=to_say("query head h reads key/value head h mod {divisor}"),
    computed="query head h reads key/value head h mod {divisor}",
    wanted=OWN_HEAD,
    fix="kv_head = head // (n_head // n_kv_head)",
    threads=("PSAL-POSTECH/ONNXim#34",),
    detect="parameter",
    rarity=5,
)
def head_modulo(c: Computation) -> Iterator[Variant]:
    """The remainder in the place of the quotient: h mod the size of a group."""
    group = _group(c)
    if 1 < group <= c.n_kv_head != group:
        parameter = {"divisor": group, "group": group}
        yield Variant(reading(c, np.arange(c.n_head) % group), parameter, f"h mod {group}")


@MISTAKES.add(
    id="G3",
    family="heads",
    title=to_say("{arrays} repeated along the tokens, not along the heads"),
    computed="{computed}",
    wanted=REPEATED,
    fix=to_say("transpose to [b, h_kv, n, d] first, then repeat along dim=1"),
    threads=("datawhalechina/tiny-universe#21", "PrimeIntellect-ai/prime-rl#2681"),
    pairs=True,
    rarity=3,
)
def repeated_along_tokens(c: Computation) -> Iterator[Variant]:
    """The repetition came before the transpose, or on the wrong axis, and a reshape hid it."""
    if c.n_kv_head == c.n_head or c.n_k < 2:
        return
    for code, wrong in (
        ("k.repeat(1, g, 1, 1).reshape(b, n, h, d), k [b, n, h_kv, d]", _tiled_tokens),
        ("k.repeat_interleave(g, dim=2).reshape(b, h, n, d), k [b, h_kv, n, d]", _repeated_tokens),
    ):
        tokens, heads = wrong(c)

        def spread(x: Array, n_head: int, tokens: Array = tokens, heads: Array = heads) -> Array:
            return x[:, heads, tokens]

        yield Variant(replace(c, spread=spread), {"arrays": "k, v", "computed": code})


def _tiled_tokens(c: Computation) -> tuple[Array, Array]:
    """Which token and head each place [n_head, n_k] reads after [b, n, h_kv, d] was tiled along n
    and reshaped to [b, n, h, d]."""
    place = np.arange(c.n_k)[None] * c.n_head + np.arange(c.n_head)[:, None]
    return place // c.n_kv_head % c.n_k, place % c.n_kv_head


def _repeated_tokens(c: Computation) -> tuple[Array, Array]:
    """The same after [b, h_kv, n, d] was repeated along n and reshaped to [b, h, n, d]."""
    place = np.arange(c.n_head)[:, None] * c.n_k + np.arange(c.n_k)[None]
    long = c.n_k * _group(c)
    return place % long // _group(c), place // long


@MISTAKES.add(
    id="G3",
    family="heads",
    title=to_say(
        "the key/value head repeated along the tokens: {group} copies of each key under the mask"
    ),
    computed="k = repeat_kv(k, {group}).transpose(1, 2), k [b, n, h_kv, d]",
    wanted=REPEATED,
    fix="k = repeat_kv(k.transpose(1, 2), {group})",
    threads=("datawhalechina/tiny-universe#21",),
    rarity=5,
)
def keys_repeated_under_a_mask(c: Computation) -> Iterator[Variant]:
    """A causal mask over copies of the keys hides other tokens than it should; without a mask the
    copies change nothing."""
    group = _group(c)
    if c.n_kv_head > 1 or group < 2 or c.bias is not None or c.masking.is_empty:
        return
    others = (c.masking.custom, c.masking.keys, c.masking.segments)
    if not c.masking.causal or any(part is not None for part in others):
        return
    k, v = (np.repeat(x, group, axis=2) for x in (c.k, c.v))
    for offset in dict.fromkeys((0, c.n_k * group - c.n_q)):
        masking = replace(c.masking, offset=offset)
        parameter = {"group": group, "offset": offset}
        yield Variant(replace(c, k=k, v=v, masking=masking), parameter)


@MISTAKES.add(
    id="G3",
    family="heads",
    title=to_say("key/value heads not repeated: head h of item b reads head {computed} in memory"),
    computed="query head h of item b reads key/value head {computed} of all that lie in memory",
    wanted=OWN_HEAD,
    fix=REPEATED,
    threads=("state-spaces/mamba#462",),
    rarity=5,
)
def heads_not_repeated(c: Computation) -> Iterator[Variant]:
    """Keys and values are read as if they had as many heads as the queries; past the end of the
    memory, which nobody knows, the last head is taken."""
    if c.n_kv_head == c.n_head:
        return
    b = c.k.shape[0]
    for step in (c.n_head, c.n_kv_head):
        at = np.arange(b)[:, None] * step + np.arange(c.n_head)
        at = np.minimum(at, b * c.n_kv_head - 1)

        def spread(x: Array, n_head: int, at: Array = at) -> Array:
            return x.reshape(-1, *x.shape[2:])[at]

        parameter = {"computed": f"b·{step} + h", "group": _group(c)}
        yield Variant(replace(c, spread=spread), parameter)


# q, k and v taken for each other


@MISTAKES.add(
    id="R1",
    family="heads",
    title=to_say("q and k swapped"),
    computed="softmax(KQᵀ/√d_k)V",
    wanted="softmax(QKᵀ/√d_k)V",
    fix="scores = q @ k.transpose(-1, -2)",
    threads=("karpathy/llm.c#531",),
    rarity=3,
)
def q_and_k_swapped(c: Computation) -> Iterator[Variant]:
    """Scores are transposed: each token asks what others ask of it."""
    if c.q.shape == c.k.shape:
        yield Variant(replace(c, q=c.k, k=c.q))


@MISTAKES.add(
    id="R1",
    family="heads",
    title=to_say("{taken} used as {place}"),
    computed="softmax({computed}ᵀ/√d_k)V",
    wanted="softmax(QKᵀ/√d_k)V",
    fix="q = w_q(x); k = w_k(x)",
    threads=("karpathy/llm.c#531",),
    rarity=4,
)
def q_or_k_reused(c: Computation) -> Iterator[Variant]:
    """One of the two projections is computed twice, under both names."""
    if c.n_q != c.n_k or c.q.shape[0] != c.k.shape[0]:
        return
    k = c.spread(c.k, c.n_head)
    yield Variant(replace(c, q=k), {"taken": "k", "place": "q", "computed": "KK"})
    if c.n_head == c.n_kv_head:
        yield Variant(replace(c, k=c.q), {"taken": "q", "place": "k", "computed": "QQ"})


@MISTAKES.add(
    id="R3",
    family="heads",
    title=to_say("{taken} used as {place}"),
    computed="{computed}",
    wanted="softmax(QKᵀ/√d_k)V",
    fix="k = w_k(x); v = w_v(x); cache[0], cache[1] = k, v",
    threads=(
        "yflyzhang/AnnotatedTransformer#1",
        "snu-comparch/InfiniGen#5",
        "Francis-Rings/StableAnimator#111",
        "jsbaan/transformer-from-scratch#1",
    ),
    pairs=True,
    rarity=2,
)
def v_for_another(c: Computation) -> Iterator[Variant]:
    """The values come from the key's projection, the cache keeps one of the two twice, or they are
    unpacked in another order."""
    if c.k.shape != c.v.shape:
        return
    before = projections(c)["k"]

    def variant(taken: str, place: str, computed: str, **new: Any) -> Variant:
        parameter = {"taken": taken, "place": place, "computed": computed}
        return Variant(replace(c, **new), parameter)

    yield variant("k", "v", "softmax(QKᵀ/√d_k)K", v=c.k)
    if before is not c.k:
        yield variant("k (before RoPE)", "v", "softmax(QKᵀ/√d_k)K", v=before)
    yield variant("v", "k", "softmax(QVᵀ/√d_k)V", k=c.v)
    yield variant("v, k", "k, v", "softmax(QVᵀ/√d_k)K", k=c.v, v=c.k)
    if c.q.shape == c.v.shape:
        yield variant("q", "v", "softmax(QKᵀ/√d_k)Q", v=c.q)
        yield variant("v", "q", "softmax(VKᵀ/√d_k)V", q=c.v)


@MISTAKES.add(
    id="G2",
    family="heads",
    title=to_say("the heads of {arrays} in another order: {order} in the place of h"),
    computed="head h of {arrays} = head {order}",
    wanted="head h of {arrays} = head h",
    fix=to_say("one order of heads for q, k, v and the output"),
    threads=(),
    rarity=7,
)
def heads_in_another_order(c: Computation) -> Iterator[Variant]:
    """Heads are reversed, rolled by one, or even ones come before odd ones, as when the shards of
    two devices are put together in another order."""
    own, seen = np.arange(c.n_head) // _group(c), set()
    for order, code in ORDERS.items():
        heads, kv_heads = code(np.arange(c.n_head), c.n_head), code(own, c.n_kv_head)
        for roles, at in (("kv", kv_heads), ("out", heads), ("q", heads)):
            if (key := (roles, at.tobytes())) in seen or (at == np.sort(at)).all():
                continue
            seen.add(key)
            arrays = "k, v" if roles == "kv" else roles
            yield Variant(_reordered(c, at, roles), {"arrays": arrays, "order": order})


def _reordered(c: Computation, heads: Array, roles: str) -> Computation:
    if roles == "q":
        return replace(c, q=c.q[:, heads])
    if roles == "out":
        return afterwards(c, lambda x: x[:, heads])
    return reading(c, heads, roles)


ORDERS: dict[str, Callable[[Array, int], Array]] = {
    "n - 1 - h": lambda h, n: n - 1 - h,
    "h + 1": lambda h, n: (h + 1) % n,
    "h - 1": lambda h, n: (h - 1) % n,
    "h + n/2": lambda h, n: (h + n // 2) % n,
    "[0, 2, …, 1, 3, …][h]": lambda h, n: np.r_[0:n:2, 1:n:2][h],
}
"""Which of n heads is read in the place of head h."""
