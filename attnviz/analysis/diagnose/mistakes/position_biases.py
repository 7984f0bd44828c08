"""A bias by distance that is wrong, or wrongly there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.noise import rounding
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.positions import alibi_slopes
from attnviz.nn.types import Array


def has_alibi(c: Computation) -> bool:
    """Whether the slopes of the bias are known."""
    slopes = c.facts.alibi
    return c.bias is not None and slopes is not None and slopes.size == c.n_head


def _with_slopes(c: Computation, slopes: Array, distance: Array | None = None) -> Computation:
    """With other slopes [n_head] of ALiBi, or another distance [n_q, n_k], behind each query."""
    assert c.facts.alibi is not None
    wanted = np.abs(all_distances(c))
    old, new = (np.asarray(x)[:, None, None] for x in (c.facts.alibi, slopes))
    assert c.bias is not None
    rest = c.bias + old * wanted
    return replace(c, bias=rest - new * (wanted if distance is None else distance))


def all_distances(c: Computation) -> Array:
    """How far each key lies behind each query, of all queries, [1 or n_batch, 1, n_q, n_k]."""
    return c.masking.distance(np.arange(c.n_q), c.n_k)


def _geometric(n: int, first: float, ratio: float) -> Array:
    return np.asarray(first * ratio ** np.arange(n))


@MISTAKES.add(
    id="A1",
    family="position",
    title=to_say("ALiBi with the other sign: far keys are favoured"),
    computed="scores + m·|i - j|",
    wanted="scores - m·|i - j|",
    fix="bias = -slope * (q_idx - kv_idx)",
    threads=("meta-pytorch/attention-gym#86",),
    detect="parameter",
    rarity=2,
)
def alibi_of_the_other_sign(c: Computation) -> Iterator[Variant]:
    """The bias grows with the distance."""
    if has_alibi(c):
        yield Variant(_with_slopes(c, -np.asarray(c.facts.alibi)))


@MISTAKES.add(
    id="A2",
    family="position",
    title=to_say("ALiBi with other slopes: {slopes}"),
    computed="m_h = {slopes}",
    wanted="m_h = 2^(-8(h + 1)/n_head), h = 0, 1, …",
    fix=to_say("slopes = 2 ** (-8 * torch.arange(1, n_head + 1) / n_head) for a power of two"),
    threads=("paiml/aprender#2143", "huggingface/candle#1189", "ggml-org/ggml#143"),
    detect="parameter",
    rarity=3,
)
def alibi_of_other_slopes(c: Computation) -> Iterator[Variant]:
    """The exponent counted from 0, another number than 8, heads in another order."""
    if not has_alibi(c):
        return
    n, own = c.n_head, np.asarray(c.facts.alibi)
    power = 2 ** int(math.log2(n))
    from_0 = _geometric(power, 1.0, 2 ** (-8 / power))
    twice = f"2^(-8h/{power}), h = 0, 1, …, {power - 1}, 0, …"
    for words, slopes in {
        "2^(-8h/n_head)": _geometric(n, 1.0, 2 ** (-8 / n)),
        **({} if n == power else {twice: np.r_[from_0, from_0][:n]}),
        "2^(-(h + 1))": _geometric(n, 0.5, 0.5),
        "2^(-(h + 1)/n_head)": _geometric(n, 2 ** (-1 / n), 2 ** (-1 / n)),
        "slopes.flip(0)": own[::-1],
        "1": np.ones(n),
    }.items():
        if not np.allclose(slopes, own, rtol=1e-4):
            yield Variant(_with_slopes(c, slopes), {"slopes": words}, words)


@MISTAKES.add(
    id="A3",
    family="position",
    title=to_say("ALiBi with {n_head} heads, no power of two, and slopes {slopes}"),
    computed="slopes {slopes}",
    wanted="those of {power} heads, then every second one of {double}",
    fix=to_say("take get_slopes of the reference code, which interleaves two geometric series"),
    threads=("ofirpress/attention_with_linear_biases#17", "baichuan-inc/Baichuan2#225"),
    detect="parameter",
    rarity=3,
)
def alibi_of_no_power_of_two(c: Computation) -> Iterator[Variant]:
    """The formula of the paper gives other slopes than its code unless n_head is 2, 4, 8, …"""
    n = c.n_head
    power = 2 ** int(math.log2(n))
    if not has_alibi(c) or n == power:
        return
    own = np.asarray(c.facts.alibi)
    series = alibi_slopes(2 * power)
    facts = {"n_head": n, "power": power, "double": 2 * power}
    for words, slopes in {
        "2^(-8(h + 1)/n_head)": _geometric(n, 2 ** (-8 / n), 2 ** (-8 / n)),
        "get_slopes(n_head)": alibi_slopes(n),
        f"get_slopes({2 * power})[:n_head]": series[:n],
        f"get_slopes({power}) + get_slopes({2 * power})": np.r_[alibi_slopes(power), series][:n],
        "sorted(get_slopes(n_head))": np.sort(alibi_slopes(n))[::-1],
        f"2^(-8(h + 1)/{power})": _geometric(n, 2 ** (-8 / power), 2 ** (-8 / power)),
    }.items():
        if not np.allclose(slopes, own, rtol=1e-4):
            yield Variant(_with_slopes(c, slopes), {"slopes": words, **facts}, words)


@MISTAKES.add(
    id="A4",
    family="position",
    title=to_say("ALiBi with distances that are off by a constant for each query"),
    computed="scores + m·j",
    wanted="scores - m·(i - j)",
    fix="nothing: the softmax takes no notice of what is added to a whole row",
    threads=("vllm-project/vllm#945",),
    detect="equal",
)
def alibi_off_by_a_constant(c: Computation) -> Iterator[Variant]:
    """Counted from another token, or by the key's position only: the same weights, as long as no
    query sees keys after its own."""
    if not has_alibi(c) or not c.masking.causal or c.masking.ahead > 0:
        return
    slopes = np.asarray(c.facts.alibi)
    distance = all_distances(c)
    yield Variant(_with_slopes(c, slopes, distance + 3), {"distance": "i - j + 3"})
    key = np.broadcast_to(-np.arange(c.n_k), distance.shape)
    yield Variant(_with_slopes(c, slopes, key), {"distance": "-j"})


@MISTAKES.add(
    id="A4",
    family="position",
    title=to_say("ALiBi with signed distances: keys after the query are favoured"),
    computed="scores - m·(i - j)",
    wanted="scores - m·|i - j|",
    fix="bias = -slope * (q_idx - kv_idx).abs()",
    threads=("vllm-project/vllm#945",),
    detect="parameter",
    rarity=4,
)
def alibi_of_signed_distances(c: Computation) -> Iterator[Variant]:
    """What a causal mask hides matters where there is none."""
    if has_alibi(c) and not (c.masking.causal and c.masking.ahead <= 0):
        yield Variant(_with_slopes(c, np.asarray(c.facts.alibi), all_distances(c)))


@MISTAKES.add(
    id="A5",
    family="position",
    title=to_say("the bias rounded to {dtype}"),
    computed="scores + {dtype}(bias)",
    wanted="scores + bias, in float32",
    fix=to_say("compute slopes and distances in float32 and add them before rounding"),
    threads=("NVIDIA/TensorRT-Model-Connect#667", "vllm-project/vllm#945"),
    detect="rounding",
    rarity=5,
)
def bias_in_low_precision(c: Computation) -> Iterator[Variant]:
    """With long prompts, steps of the bias get lost; all the more if it is m·j."""
    if c.bias is None:
        return
    for dtype in ("bfloat16", "float16"):
        low = rounding(dtype)
        yield Variant(replace(c, bias=low(c.bias)), {"dtype": dtype, "form": "bias"}, dtype)
        if has_alibi(c) and c.masking.causal:
            slopes = np.asarray(c.facts.alibi, c.q.dtype)[:, None, None]
            rest = c.bias + slopes * np.abs(all_distances(c))
            key = rest + low(slopes * np.arange(c.n_k, dtype=c.q.dtype))
            yield Variant(replace(c, bias=key), {"dtype": dtype, "form": "m·j"}, "m·j")


@MISTAKES.add(
    id="B1",
    family="position",
    title=to_say("ALiBi where none is wanted"),
    computed="softmax(QKᵀ/√d_k - m·|i - j|)V",
    wanted="softmax(QKᵀ/√d_k)V",
    fix=to_say("leave the bias out: the model has RoPE, or learned positions"),
    threads=("huggingface/transformers#8518",),
    rarity=6,
)
def bias_that_is_not_wanted(c: Computation) -> Iterator[Variant]:
    """The dump has no bias; the output is what the usual one gives."""
    if c.bias is None and c.n_k > 1:
        bias = -alibi_slopes(c.n_head)[:, None, None] * np.abs(all_distances(c))
        yield Variant(replace(c, bias=bias.astype(c.q.dtype)))


@MISTAKES.add(
    id="B1",
    family="position",
    title=to_say("the bias left out"),
    computed="softmax(QKᵀ/√d_k)V",
    wanted="softmax(QKᵀ/√d_k + bias)V",
    fix="scores = scores + bias",
    threads=("huggingface/transformers#8518", "huggingface/transformers#4499"),
    pairs=True,
    rarity=2,
)
def bias_left_out(c: Computation) -> Iterator[Variant]:
    """The kernel takes no bias, or the branch without one was run."""
    if c.bias is not None and np.any(c.bias):
        yield Variant(replace(c, bias=None))


@MISTAKES.add(
    id="B1",
    family="position",
    title=to_say("{bias} in the place of the bias"),
    computed="scores + {bias}",
    wanted="scores + bias",
    fix=to_say("bias [n_head, n_q, n_k]: bias[h, i, j] is added to the score of query i and key j"),
    threads=("huggingface/transformers#8518",),
    rarity=4,
)
def bias_changed(c: Computation) -> Iterator[Variant]:
    """Of the other direction, of another head, with the other sign, twice, or relative positions
    counted backwards."""
    if c.bias is None or not np.any(c.bias):
        return
    bias = c.bias[(None,) * (4 - c.bias.ndim)]
    for words, new in _other_biases(c, bias):
        if new.shape != bias.shape or not np.array_equal(new, bias):
            yield Variant(replace(c, bias=new), {"bias": words}, words)


def _other_biases(c: Computation, bias: Array) -> Iterator[tuple[str, Array]]:
    """Changes of a bias that broadcasts to [n_batch, n_head, n_q, n_k], in code."""
    b, h, n_q, n_k = bias.shape
    if n_q == n_k > 1:
        yield "bias.transpose(-1, -2)", bias.swapaxes(-1, -2)
    if h > 1:
        yield "bias[:, 0]", bias[:, :1]
        yield "bias[:, h + 1]", np.roll(bias, -1, axis=1)
        yield "bias[:, h - 1]", np.roll(bias, 1, axis=1)
        yield "bias.flip(1)", bias[:, ::-1]
    if b > 1:
        yield "bias[0]", bias[:1]
    yield "-bias", -bias
    yield "2 · bias", 2 * bias
    if np.size(c.scale) == 1 and np.ravel(c.scale)[0] != 1:
        yield "bias · scale", bias * np.ravel(c.scale)[0]
    if n_k > 1:
        yield "bias.flip(-1)", bias[..., ::-1]
        yield "bias[..., j + 1]", np.roll(bias, -1, axis=-1)
        yield "bias[..., j - 1]", np.roll(bias, 1, axis=-1)
