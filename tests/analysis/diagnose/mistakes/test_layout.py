"""Each layout mistake against the lines of code in which it was made."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.facts import Facts, Rotary
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES
from tests.analysis.diagnose.mistakes.planted import (
    arrays,
    attend,
    causal,
    check_gives,
    check_rows,
    contexts,
    random,
    variants,
    wanted,
)

LAYOUT = [name for name in MISTAKES if MISTAKES[name].family == "layout"]
B, H, N, D = 2, 3, 7, 10


def projected(x):
    """[b, h, n, d] -> what the linear layer gave, [b, n, h·d]."""
    return np.concatenate(list(x.transpose(1, 0, 2, 3)), axis=-1)


def split(x, h):
    """[b, n, h·d] -> [b, h, n, d]"""
    return np.stack(np.split(x, h, axis=-1), axis=1)


@pytest.mark.parametrize("who", ["q, k, v", "q", "k", "v", "q, k", "k, v"])
def test_split_without_transpose(who):
    c = wanted(causal=True)
    q, k, v = (
        projected(x).reshape(B, H, N, D) if role in who.split(", ") else x
        for role, x in zip("qkv", (c.q, c.k, c.v), strict=True)
    )
    check_gives("split_without_transpose", c, attend(q, k, v, causal(N, N)), arrays=who)


def test_split_and_merged_without_transpose():
    c = wanted()
    query, key, value = (projected(x).reshape(B * H, -1, D) for x in (c.q, c.k, c.v))
    out = attend(query[:, None], key[:, None], value[:, None])
    out = out.reshape(B, -1, H * D)
    check_gives("split_without_transpose", c, split(out, H), arrays="q, k, v, out")


def test_projections_are_split_before_they_are_rotated():
    q, k, _ = arrays()
    at = np.arange(N)
    rotary = Rotary(q, k, at, at, base=100.0)
    c = wanted(facts=Facts(rotary=rotary))

    def rope(x):
        out = np.empty_like(x)
        for p in range(N):
            for i in range(D // 2):
                angle = p * 100.0 ** (-2 * i / D)
                one, two = x[..., p, i], x[..., p, i + D // 2]
                out[..., p, i] = one * np.cos(angle) - two * np.sin(angle)
                out[..., p, i + D // 2] = two * np.cos(angle) + one * np.sin(angle)
        return out

    q, k = (rope(projected(x).reshape(B, H, N, D)) for x in (q, k))
    check_gives("split_without_transpose", c, attend(q, k, c.v), arrays="q, k")


def test_merged_without_transpose():
    c = wanted(n_q=5, n_k=7)
    out = attend(c.q, c.k, c.v).reshape(B, 5, H * D)
    check_gives("merged_without_transpose", c, split(out, H))


@pytest.mark.parametrize("sizes", [{"h": 1}, {"n_q": 1, "n_k": 7}])
def test_nothing_to_merge(sizes):
    assert not variants("merged_without_transpose", wanted(**sizes))


def test_heads_stacked_before_the_batch():
    c = wanted()
    stacked = np.concatenate(list(attend(c.q, c.k, c.v).transpose(1, 0, 2, 3)))  # [h·b, n, d]
    name = "batch_and_heads_swapped"
    check_gives(name, c, stacked.reshape(B, H, N, D))
    check_gives(name, c, split(stacked.reshape(B, N, H * D), H))
    passed_on = stacked.reshape(H, B, -1, D).transpose(0, 2, 1, 3)
    check_gives(name, c, split(passed_on.reshape(B, -1, H * D), H))


@pytest.mark.parametrize("who", ["q, k, v", "v", "k", "q", "q, k, v, out", "out"])
def test_heads_innermost(who):
    c = wanted()

    def interleaved(x):
        """b n (d h) -> b h n d"""
        return np.stack([projected(x)[..., h::H] for h in range(H)], axis=1)

    names = who.split(", ")
    given = zip("qkv", (c.q, c.k, c.v), strict=True)
    out = attend(*(interleaved(x) if role in names else x for role, x in given))
    if "out" in names:
        merged = np.empty((B, N, H * D))
        for h in range(H):
            merged[..., h::H] = out[:, h]
        out = split(merged, H)
    check_gives("heads_innermost", c, out, arrays=who)


def test_output_reshaped_to_channels():
    c = wanted()
    image = attend(c.q, c.k, c.v).reshape(B, H, D, N)
    expected = np.array([[image[b, h].T for h in range(H)] for b in range(B)])
    check_gives("output_reshaped_to_channels", c, expected)


def test_keys_reshaped_instead_of_transposed():
    c = wanted(n_q=5, n_k=7)
    scores = c.q @ c.k.reshape(B, H, D, 7) / np.sqrt(D)
    weights = np.exp(scores)
    expected = weights / weights.sum(-1, keepdims=True) @ c.v
    check_gives("reshaped_instead_of_transposed", c, expected, arrays="k")
    cache = np.ascontiguousarray(c.v.transpose(0, 1, 3, 2)).reshape(B, H, 7, D)
    check_gives("reshaped_instead_of_transposed", c, attend(c.q, c.k, cache), arrays="v")


@pytest.mark.parametrize("rule", [False, True])
@pytest.mark.parametrize("h_kv", [6, 3])
def test_heads_in_place_of_tokens(rule, h_kv):
    """flash_attn_func(q, k, v) takes [b, n, h, d]; it got [b, h, n, d]."""
    c = wanted(causal=rule, h=6, h_kv=h_kv, n_q=5)
    expected = np.zeros((2, 6, 5, 10))
    for b in range(2):
        for token in range(5):
            for head in range(6):
                seen = range(min(head + 1, h_kv)) if rule else range(h_kv)
                scores = [c.q[b, head, token] @ c.k[b, other, token] for other in seen]
                powers = np.exp(np.array(scores) / np.sqrt(10))
                values = np.array([c.v[b, other, token] for other in seen])
                expected[b, head, token] = powers @ values / powers.sum()
    check_gives("heads_in_place_of_tokens", c, expected)


def test_a_mask_of_as_many_heads_as_tokens_is_kept():
    seen = np.random.default_rng(1).random((5, 5)) < 0.6
    c = wanted(masking=Masking(custom=seen), h=5, n_q=5)
    swapped = attend(*(x.transpose(0, 2, 1, 3) for x in (c.q, c.k, c.v)), seen)
    check_gives("heads_in_place_of_tokens", c, swapped.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("b", [1, 3])
def test_batch_in_place_of_tokens(b):
    c = wanted(b=b)
    swapped = attend(*(x.transpose(2, 1, 0, 3) for x in (c.q, c.k, c.v)))
    expected = swapped.transpose(2, 1, 0, 3)
    check_gives("batch_in_place_of_tokens", c, expected)
    if b == 1:
        assert np.allclose(expected, c.v, rtol=0, atol=1e-12)


def test_weights_transposed():
    c = wanted(causal=True)
    expected = np.zeros((B, H, N, D))
    for b, h in np.ndindex(B, H):
        for i in range(N):
            powers = np.array([np.exp(c.q[b, h, i] @ k / np.sqrt(D)) for k in c.k[b, h, : i + 1]])
            for j in range(i + 1):
                expected[b, h, j] += powers[j] / powers.sum() * c.v[b, h, i]
    check_gives("weights_transposed", c, expected)
    assert not variants("weights_transposed", wanted(n_q=5, n_k=7))


def fused(q, k, v, order):
    """[b, n, width], a row of features a token, head by head as the order says."""
    b, h, n, _ = q.shape
    h_kv = k.shape[1]
    rows = []
    for item, token in np.ndindex(b, n):
        q_, k_, v_ = (list(x[item, :, token]) for x in (q, k, v))
        if order == "concatenated":
            parts = q_ + k_ + v_
        elif order == "grouped":
            g = h // h_kv
            parts = []
            for i in range(h_kv):
                parts += [*q_[g * i : g * i + g], k_[i], v_[i]]
        else:
            parts = [np.array(each).T.ravel() for each in zip(q_, k_, v_, strict=True)]
        rows.append(np.concatenate(parts))
    return np.array(rows).reshape(b, n, -1)


def test_fused_per_head_read_as_concatenated():
    """GPT-NeoX and Falcon write [q k v] head by head; chunk(3) takes it for [Q | K | V]."""
    c = wanted()
    parts = np.split(fused(c.q, c.k, c.v, "grouped"), 3, axis=-1)
    expected = attend(*(split(x, H) for x in parts))
    check_gives("fused_in_another_order", c, expected)


@pytest.mark.parametrize("known", [False, True])
def test_fused_concatenated_read_per_head(known):
    c = wanted()
    x = fused(c.q, c.k, c.v, "concatenated")
    if known:
        c = wanted(facts=Facts(fused=x.astype(np.float16)))
    each = x.reshape(B, N, H, 3, D)
    expected = attend(*(each[..., i, :].transpose(0, 2, 1, 3) for i in range(3)))
    check_gives("fused_in_another_order", c, expected)
    assert len(contexts("fused_in_another_order", c)) == (2 if known else 6)


def test_fused_concatenated_read_feature_by_feature():
    c = wanted()
    each = fused(c.q, c.k, c.v, "concatenated").reshape(B, N, H, D, 3)
    expected = attend(*(each[..., i].transpose(0, 2, 1, 3) for i in range(3)))
    check_gives("fused_in_another_order", c, expected)


def test_fused_by_groups_read_as_concatenated():
    """Megatron's grouped queries: [q q k v] a group."""
    c = wanted(h=6, h_kv=3)
    x = fused(c.q, c.k, c.v, "grouped")
    q, k, v = split(x[..., :60], 6), split(x[..., 60:90], 3), split(x[..., 90:], 3)
    expected = attend(q, np.repeat(k, 2, 1), np.repeat(v, 2, 1))
    check_gives("fused_in_another_order", c, expected)


def with_inputs(width, bias):
    """A computation whose q, k, v are x W + b, and x, the weight [width, 3·width] and b."""
    x, weight = random(B, N, width), random(width, 3 * width, seed=1) / 9
    b = bias * random(3 * width, seed=2)
    q, k, v = (split(part, H) for part in np.split(x @ weight + b, 3, axis=-1))
    c = wanted(facts=Facts(inputs=(x, weight)))
    return type(c)(**{**vars(c), "q": q, "k": k, "v": v}), x, weight, b


@pytest.mark.parametrize("who", ["q, k, v", "v"])
def test_weight_not_transposed(who):
    c, x, weight, bias = with_inputs(H * D, 1.0)
    parts = zip(np.split(weight, 3, axis=1), np.split(bias, 3), "qkv", strict=True)
    linear = [x @ (w.T if role in who.split(", ") else w) + b for w, b, role in parts]
    expected = attend(*(split(part, H) for part in linear))
    check_gives("weight_not_transposed", c, expected, arrays=who)


def test_weight_read_in_the_other_order():
    c, x, weight, bias = with_inputs(H * D, 0.5)
    linear = x @ weight.reshape(3 * H * D, H * D).T + bias  # nn.Linear holds [out, in]
    expected = attend(*(split(part, H) for part in np.split(linear, 3, axis=-1)))
    check_gives("weight_not_transposed", c, expected, arrays="q, k, v")


@pytest.mark.parametrize("who", ["q, k, v", "k"])
def test_projection_without_bias(who):
    c, x, weight, bias = with_inputs(H * D, 0.7)
    parts = zip(np.split(weight, 3, axis=1), np.split(bias, 3), "qkv", strict=True)
    linear = [x @ w + (0 if role in who.split(", ") else b) for w, b, role in parts]
    expected = attend(*(split(part, H) for part in linear))
    check_gives("projection_without_bias", c, expected, arrays=who)


def test_a_projection_that_has_no_bias_lacks_none():
    assert not variants("projection_without_bias", with_inputs(H * D, 0.0)[0])


@pytest.mark.parametrize("who", ["q, k, v", "v"])
def test_transposed_read_as_contiguous(who):
    """The kernel takes the memory of x.permute(0, 2, 1, 3) for [b, h, n, d]."""
    c = wanted(n_q=N)
    given = []
    for role, x in zip("qkv", (c.q, c.k, c.v), strict=True):
        memory = np.ascontiguousarray(x.transpose(0, 2, 1, 3)).ravel()
        read = np.lib.stride_tricks.as_strided(memory, x.shape, np.zeros(x.shape).strides)
        given.append(read if role in who.split(", ") else x)
    check_gives("transposed_read_as_contiguous", c, attend(*given), arrays=who)


def test_fused_parts_read_as_contiguous():
    c = wanted()
    memory = fused(c.q, c.k, c.v, "concatenated").ravel()
    size = c.q.size
    given = [memory[i * H * D :][:size].reshape(c.q.shape) for i in range(3)]
    check_gives("fused_parts_read_as_contiguous", c, attend(*given))


def test_every_head_reads_head_0():
    c = wanted()
    heads = [np.stack([x[:, 0]] * H, axis=1) for x in (c.q, c.k, c.v)]
    check_gives("every_head_reads_head_0", c, attend(*heads), arrays="q, k, v")
    check_gives("every_head_reads_head_0", c, attend(c.q, heads[1], c.v), arrays="k")


def test_offset_by_a_head():
    c = wanted()
    flat = c.k.reshape(B * H, N, D)
    moved = np.array([flat[(i + 1) % (B * H)] for i in range(B * H)]).reshape(c.k.shape)
    check_gives("offset_by_a_head", c, attend(c.q, moved, c.v), arrays="k", shift=1)


CASES = {
    "square": {},
    "causal": {"causal": True},
    "cross": {"n_q": 5, "n_k": 7},
    "grouped": {"h": 6, "h_kv": 2, "causal": True},
}
SMALL = {
    "one head": {"h": 1},
    "one token": {"n_q": 1},
    "one query": {"n_q": 1, "n_k": 7, "causal": True},
    "one item": {"b": 1},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LAYOUT)
def test_some_rows_and_never_the_reference(name, case):
    c = wanted(**CASES[case])
    check_rows(name, c)
    right = compute(c).context
    for each in MISTAKES[name].variants(c):
        made = compute(each.computation).context
        assert made.shape == right.shape
        assert np.abs(made - right).max() > 1e-3, each.parameter


@pytest.mark.parametrize("case", SMALL)
@pytest.mark.parametrize("name", LAYOUT)
def test_small_dumps(name, case):
    c = wanted(**SMALL[case])
    check_rows(name, c)
    for each in MISTAKES[name].variants(c):
        assert compute(each.computation).context.shape == c.q.shape
