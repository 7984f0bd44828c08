"""Each mistake with heads against the lines of code in which it was made."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.registry import MISTAKES
from tests.analysis.diagnose.mistakes.planted import (
    attend,
    causal,
    check_gives,
    check_rows,
    repeated,
    variants,
    wanted,
)

HEADS = [name for name in MISTAKES if MISTAKES[name].family == "heads"]
B, H, H_KV, N, D = 2, 6, 3, 7, 10


def grouped(**more):
    return wanted(h=H, h_kv=H_KV, **more)


def picked(x, heads):
    return np.stack([x[:, head] for head in heads], axis=1)


@pytest.mark.parametrize("who", ["k, v", "k", "v"])
def test_heads_tiled(who):
    """k.repeat(1, h // h_kv, 1, 1)"""
    c = grouped(causal=True)
    k, v = (
        np.concatenate([x] * 2, axis=1) if role in who else repeated(x, H)
        for role, x in (("k", c.k), ("v", c.v))
    )
    check_gives("heads_tiled", c, attend(c.q, k, v, causal(N, N)), arrays=who)


def test_output_merged_as_tiles():
    """b g h_kv n d, merged as (g h_kv)."""
    c = grouped()
    out = attend(c.q, repeated(c.k, H), repeated(c.v, H)).reshape(B, H_KV, 2, N, D)
    merged = np.concatenate([out[:, :, i] for i in range(2)], axis=1)
    check_gives("heads_tiled", c, merged, arrays="out")


@pytest.mark.parametrize("sizes", [{"h": 5}, {"h": 5, "h_kv": 1}])
def test_one_way_to_share(sizes):
    assert not variants("heads_tiled", wanted(**sizes))


@pytest.mark.parametrize(("h", "h_kv"), [(6, 3), (6, 6), (8, 4)])
def test_divided_by_the_number_of_key_value_heads(h, h_kv):
    c = wanted(h=h, h_kv=h_kv)
    heads = [head // h_kv for head in range(h)]
    expected = attend(c.q, picked(c.k, heads), picked(c.v, heads))
    check_gives("wrong_divisor", c, expected, divisor=h_kv)


def test_half_of_the_heads_collapse():
    c = wanted(h=5)
    heads = [0, 0, 1, 1, 2]
    expected = attend(c.q, picked(c.k, heads), picked(c.v, heads))
    check_gives("wrong_divisor", c, expected, divisor=2)


def test_head_modulo_the_group():
    c = grouped()
    heads = [head % 2 for head in range(H)]
    expected = attend(c.q, picked(c.k, heads), picked(c.v, heads))
    check_gives("head_modulo", c, expected)


def test_tiled_along_tokens_and_reshaped():
    c = grouped()
    k, v = (
        np.tile(x.transpose(0, 2, 1, 3), (1, 2, 1, 1)).reshape(B, N, H, D).transpose(0, 2, 1, 3)
        for x in (c.k, c.v)
    )
    check_gives("repeated_along_tokens", c, attend(c.q, k, v))


def test_repeated_along_tokens_and_reshaped():
    c = grouped(causal=True)
    k, v = (np.repeat(x, 2, axis=2).reshape(B, H, N, D) for x in (c.k, c.v))
    check_gives("repeated_along_tokens", c, attend(c.q, k, v, causal(N, N)))


@pytest.mark.parametrize("offset", [0, 2 * N])
def test_keys_repeated_before_the_transpose(offset):
    """repeat_kv(key, 3) of [b, n, 1, d] repeats along n; a causal mask [n, 3n] goes on top."""
    c = wanted(h=3, h_kv=1, causal=True)
    k, v = (np.repeat(repeated(x, 3), 3, axis=2) for x in (c.k, c.v))
    expected = attend(c.q, k, v, causal(N, 3 * N, offset))
    check_gives("keys_repeated_under_a_mask", c, expected, offset=offset)


def test_copies_of_all_keys_change_nothing_without_a_mask():
    assert not variants("keys_repeated_under_a_mask", wanted(h=3, h_kv=1))


def test_heads_not_repeated():
    c = wanted(b=3, h=6, h_kv=3)
    memory = np.concatenate(list(c.k)), np.concatenate(list(c.v))  # [b·h_kv, n, d]
    rows = [[min(b * 6 + h, 8) for h in range(6)] for b in range(3)]
    k, v = (np.array([[x[i] for i in row] for row in rows]) for x in memory)
    check_gives("heads_not_repeated", c, attend(c.q, k, v))
    rows = [[min(b * 3 + h, 8) for h in range(6)] for b in range(3)]
    k, v = (np.array([[x[i] for i in row] for row in rows]) for x in memory)
    check_gives("heads_not_repeated", c, attend(c.q, k, v))


def test_q_and_k_swapped():
    c = wanted(causal=True)
    check_gives("q_and_k_swapped", c, attend(c.k, c.q, c.v, causal(N, N)))
    for impossible in (grouped(), wanted(n_q=5, n_k=7)):
        assert not variants("q_and_k_swapped", impossible)


def test_q_or_k_reused():
    c = wanted()
    check_gives("q_or_k_reused", c, attend(c.k, c.k, c.v), taken="k")
    check_gives("q_or_k_reused", c, attend(c.q, c.q, c.v), taken="q")
    c = grouped()
    k = repeated(c.k, H)
    check_gives("q_or_k_reused", c, attend(k, k, repeated(c.v, H)), taken="k")


def test_v_for_another():
    c = wanted()
    q, k, v = c.q, c.k, c.v
    for taken, place, expected in (
        ("k", "v", attend(q, k, k)),
        ("v", "k", attend(q, v, v)),
        ("v, k", "k, v", attend(q, v, k)),
        ("q", "v", attend(q, k, q)),
        ("v", "q", attend(v, k, v)),
    ):
        check_gives("v_for_another", c, expected, taken=taken, place=place)


@pytest.mark.parametrize(
    ("order", "heads"),
    [
        ("n - 1 - h", [4, 3, 2, 1, 0]),
        ("h + 1", [1, 2, 3, 4, 0]),
        ("h - 1", [4, 0, 1, 2, 3]),
        ("h + n/2", [2, 3, 4, 0, 1]),
        ("[0, 2, …, 1, 3, …][h]", [0, 2, 4, 1, 3]),
    ],
)
def test_heads_in_another_order(order, heads):
    c = wanted(h=5)
    q, k, v = (picked(x, heads) for x in (c.q, c.k, c.v))
    for arrays, expected in (
        ("k, v", attend(c.q, k, v)),
        ("q", attend(q, c.k, c.v)),
        ("out", attend(q, k, v)),
    ):
        check_gives("heads_in_another_order", c, expected, arrays=arrays, order=order)


CASES = {
    "square": {},
    "causal": {"h": 5, "causal": True},
    "cross": {"n_q": 5, "n_k": 7},
    "grouped": {"h": 6, "h_kv": 3, "causal": True},
    "one shared": {"h": 3, "h_kv": 1, "causal": True},
}
SMALL = {
    "one head": {"h": 1},
    "one token": {"n_q": 1},
    "one query": {"n_q": 1, "n_k": 7, "causal": True},
    "one item": {"b": 1, "h": 6, "h_kv": 2},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", HEADS)
def test_some_rows_and_never_the_reference(name, case):
    c = wanted(**CASES[case])
    check_rows(name, c)
    right = compute(c).context
    for each in MISTAKES[name].variants(c):
        made = compute(each.computation).context
        assert made.shape == right.shape
        assert np.abs(made - right).max() > 1e-3, each.parameter


@pytest.mark.parametrize("case", SMALL)
@pytest.mark.parametrize("name", HEADS)
def test_small_dumps(name, case):
    c = wanted(**SMALL[case])
    check_rows(name, c)
    for each in MISTAKES[name].variants(c):
        assert compute(each.computation).context.shape == c.q.shape
