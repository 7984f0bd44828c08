"""Wrong causal masks, windows and tails against their formulas in plain loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import Computation, computation, compute
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES
from attnviz.nn.types import Array
from tests.analysis.diagnose import examples, plain
from tests.analysis.diagnose.examples import N_BATCH, N_HEAD, N_K, N_Q
from tests.analysis.diagnose.mistakes.test_masks import assert_is, hides, one, variants

LOWER_RIGHT = N_K - N_Q
S = 1 / math.sqrt(examples.D_K)
SHORTER = 5
"""Keys of the second text of `padded`."""


def real(b: int, j: int) -> bool:
    return b == 0 or j < SHORTER


def test_strict() -> None:
    strict = hides(lambda b, h, i, j: j < i + LOWER_RIGHT)
    assert_is(one("strict_causal", examples.causal()), examples.causal(), strict)
    c = examples.padded()
    padded = hides(lambda b, h, i, j: j < i + LOWER_RIGHT and real(b, j))
    assert_is(one("strict_causal", c), c, padded)


def test_one_ahead() -> None:
    c = examples.causal()
    assert_is(one("one_key_ahead", c), c, hides(lambda b, h, i, j: j <= i + LOWER_RIGHT + 1))


def test_backwards() -> None:
    """triu(…, LOWER_RIGHT) for tril."""
    c = examples.causal()
    mask = np.triu(np.ones((N_Q, N_K), bool), LOWER_RIGHT)
    assert_is(one("causal_backwards", c), c, hides(lambda b, h, i, j: bool(mask[i, j])))
    c = examples.windowed()
    ahead = hides(lambda b, h, i, j: 0 <= j - i - LOWER_RIGHT <= 3)
    assert_is(one("causal_backwards", c), c, ahead)


def test_blocks() -> None:
    c = examples.plain(n_q=29, n_k=37, masking=Masking(causal=True, offset=8))
    for block in (16, 32):
        expected = hides(lambda b, h, i, j: j // block <= (i + 8) // block)  # noqa: B023
        assert_is(one("causal_in_blocks", c, block=block), c, expected)
    assert len(variants("causal_in_blocks", c)) == 2


def test_the_own_block_is_missing() -> None:
    c = examples.plain(n_q=29, n_k=37, masking=Masking(causal=True, offset=8))
    before = hides(lambda b, h, i, j: j // 16 < (i + 8) // 16)
    assert_is(one("causal_without_own_block", c, block=16), c, before)


def test_corners() -> None:
    c = examples.causal()
    upper = hides(lambda b, h, i, j: j <= i)
    assert_is(one("aligned_upper_left", c, offset=0), c, upper)
    assert not variants("aligned_lower_right", c)
    c = c.with_masking(offset=0)
    lower = hides(lambda b, h, i, j: j <= i + LOWER_RIGHT)
    assert_is(one("aligned_lower_right", c, offset=LOWER_RIGHT), c, lower)
    assert not variants("aligned_upper_left", c)


def test_corners_of_a_window() -> None:
    c = examples.windowed()
    upper = hides(lambda b, h, i, j: 0 <= i - j <= 3)
    assert_is(one("aligned_upper_left", c, offset=0), c, upper)
    before = hides(lambda b, h, i, j: 0 <= i + LOWER_RIGHT - 1 - j <= 3)
    assert_is(one("queries_one_place_off", c, by=-1), c, before)


def test_a_single_query_sees_the_first_key_only() -> None:
    for masking in (Masking(), Masking(causal=True, offset=N_K - 1)):
        c = examples.plain(n_q=1, masking=masking)
        assert_is(one("aligned_upper_left", c, offset=0), c, hides(lambda b, h, i, j: j == 0))


def test_one_place_for_all_items() -> None:
    offsets = np.array([2, 1])
    c = examples.plain(masking=Masking(causal=True, offset=offsets))
    assert_is(one("aligned_upper_left", c, offset=0), c, hides(lambda b, h, i, j: j <= i))
    lower = hides(lambda b, h, i, j: j <= i + LOWER_RIGHT)
    assert_is(one("aligned_lower_right", c, offset=LOWER_RIGHT), c, lower)
    own = hides(lambda b, h, i, j: j <= i + (2, 0)[b] and real(b, j))
    padded = examples.padded()
    assert_is(one("aligned_with_each_text", padded, offset=[2, 0]), padded, own)


def test_window_one_off() -> None:
    c = examples.windowed()
    for name, window in (("window_too_long", 5), ("window_too_short", 3)):
        expected = hides(lambda b, h, i, j: 0 <= i + LOWER_RIGHT - j < window)  # noqa: B023
        variant = one(name, c, window=window, wanted=4)
        assert_is(variant, c, expected)
        assert str(variant.words) == f"{window} keys, the query's own included, instead of 4"


def test_window_to_both_sides_one_off() -> None:
    c = examples.plain(masking=Masking(left=2, right=1, offset=LOWER_RIGHT))
    name, wanted = "window_to_both_sides_of_another_size", {"wanted_left": 2, "wanted_right": 1}
    later = hides(lambda b, h, i, j: -2 <= i + LOWER_RIGHT - j <= 2)
    assert_is(one(name, c, left=2, right=2, **wanted), c, later)
    both = hides(lambda b, h, i, j: 0 <= i + LOWER_RIGHT - j <= 1)
    assert_is(one(name, c, left=1, right=0, **wanted), c, both)
    assert not variants("window_too_long", c)
    causal = hides(lambda b, h, i, j: 0 <= i + LOWER_RIGHT - j <= 2)
    assert_is(one("window_made_causal", c, window=3, wanted=3), c, causal)


def test_window_of_another_size() -> None:
    c = examples.windowed()
    half = hides(lambda b, h, i, j: 0 <= i + LOWER_RIGHT - j < 2)
    assert_is(one("window_of_another_size", c, window=2, wanted=4), c, half)
    c = examples.plain(n_q=29, n_k=37, masking=Masking(causal=True, offset=8, left=4))
    found = {v.parameter["window"] for v in variants("window_of_another_size", c)}
    assert found == {2, 10, 8, 16, 32}


def test_window_of_any_size() -> None:
    c = examples.windowed()
    found = [v.parameter["window"] for v in variants("window_of_any_size", c)]
    assert found == [1, 2, 6]
    six = hides(lambda b, h, i, j: 0 <= i + LOWER_RIGHT - j < 6)
    assert_is(one("window_of_any_size", c, window=6, wanted=4), c, six)


def test_window_of_another_size_on_both_sides() -> None:
    c = examples.plain(masking=Masking(left=3, right=3, offset=LOWER_RIGHT))
    half = hides(lambda b, h, i, j: abs(i + LOWER_RIGHT - j) <= 1)
    name = "window_to_both_sides_of_another_size"
    assert_is(one(name, c, left=1, right=1, wanted_left=3, wanted_right=3), c, half)


def test_first_keys_for_a_window() -> None:
    c = examples.windowed()
    first = hides(lambda b, h, i, j: j <= i + LOWER_RIGHT and j < 4)
    assert_is(one("first_keys_for_window", c, window=4, wanted=4), c, first)


def test_window_dropped() -> None:
    c = examples.windowed()
    causal = hides(lambda b, h, i, j: j <= i + LOWER_RIGHT)
    assert_is(one("window_dropped", c, window="window", wanted=4), c, causal)
    both = hides(lambda b, h, i, j: abs(i + LOWER_RIGHT - j) < 4)
    assert_is(one("window_on_both_sides", c, window=4, wanted=4), c, both)
    ahead = hides(lambda b, h, i, j: i + LOWER_RIGHT - j < 4)
    assert_is(one("causal_dropped_in_window", c, window=4, wanted=4), c, ahead)
    chunks = hides(lambda b, h, i, j: j <= i + LOWER_RIGHT and j // 4 == (i + LOWER_RIGHT) // 4)
    assert_is(one("chunks_for_window", c, window=4, wanted=4), c, chunks)


def test_window_unwanted() -> None:
    c = examples.causal()
    found = {v.parameter["window"] for v in variants("window_unwanted", c)}
    assert found == {4, 5}
    window = hides(lambda b, h, i, j: 0 <= i + LOWER_RIGHT - j < 4)
    assert_is(one("window_unwanted", c, window=4), c, window)
    assert not variants("window_unwanted", examples.windowed())


# keys past the end


def filled_up(c: Computation, n: int, last: bool = False) -> Computation:
    """With n further keys and values: zeros, or the last one again."""
    parts = {}
    for name in "kv":
        x: Array = getattr(c, name)
        more = np.repeat(x[:, :, -1:], n, 2) * (1 if last else 0)
        parts[name] = np.concatenate((x, more), 2)
    return replace(c, **parts)


def assert_context(variant_of: tuple[str, dict[str, object]], c: Computation, w: Array,
                   filled: Computation) -> None:  # fmt: skip
    name, parameter = variant_of
    got = compute(one(name, c, **parameter).computation)
    np.testing.assert_allclose(got.context, plain.context(filled, w), rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.weights[..., :-1], w[..., : c.n_k - 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 9, 25])
def test_tail_of_zeros(n: int) -> None:
    tile = {1: 8, 9: 16, 25: 32}[n]
    for c in (examples.plain(), examples.causal()):
        filled = filled_up(c, n)
        sees = c.masking.causal

        def logit(x: float, b: int, h: int, i: int, j: int) -> float:
            return -math.inf if sees and i + LOWER_RIGHT < j < N_K else x * S  # noqa: B023

        w = plain.weights(filled, logit)
        assert_context(("tail_of_zeros", {"n": n, "n_k": N_K, "tile": tile}), c, w, filled)


def test_tail_with_sinks() -> None:
    c = replace(examples.plain(), sinks=np.random.default_rng(3).normal(size=N_HEAD))
    filled = filled_up(c, 3)
    logits = plain.logits(filled, lambda x, *at: x * S)
    w = np.zeros(logits.shape)
    for b, h, i in np.ndindex(*w.shape[:3]):
        w[b, h, i] = plain.softmax([*logits[b, h, i].tolist(), float(c.sinks[h])])[:-1]
    assert_context(("tail_of_some_zeros", {"n": 3, "n_k": N_K}), c, w, filled)


def test_tail_counts() -> None:
    def counts(name: str, n_k: int) -> list[int]:
        return [v.parameter["n"] for v in variants(name, examples.plain(n_k=n_k))]

    assert counts("tail_of_zeros", N_K) == [1, 9, 25, 57, 121, 249]
    assert counts("tail_of_some_zeros", N_K) == [n for n in range(2, 32) if n not in (9, 25)]
    assert counts("tail_of_zeros", 256) == [1]
    assert counts("tail_of_some_zeros", 256) == list(range(2, 32))


def test_tail_of_copies() -> None:
    c = examples.plain()
    filled = filled_up(c, 9, last=True)
    w = plain.weights(filled, lambda x, *at: x * S)
    parameter = {"n": 9, "times": 10, "n_k": N_K, "tile": 16}
    assert_context(("tail_of_copies", parameter), c, w, filled)


def test_tail_in_the_causal_mask() -> None:
    c = examples.causal()
    filled = filled_up(c, 9)
    w = plain.weights(filled, hides(lambda b, h, i, j: j <= i + N_K + 9 - N_Q))
    assert_context(("tail_in_causal_mask", {"n": 9, "n_k": N_K, "tile": 16}), c, w, filled)


def test_padding_of_zeros() -> None:
    keys = np.ones((N_BATCH, 1, 1, N_K), bool)
    keys[1, ..., SHORTER:] = False
    for c in (examples.plain(masking=Masking(keys=keys)), examples.padded()):
        zeros = replace(c, k=c.k * keys[:, 0, 0, :, None][:, None], v=c.v.copy())
        zeros.v[1, :, SHORTER:] = 0
        causal = c.masking.causal
        w = plain.weights(zeros, hides(lambda b, h, i, j: not causal or j <= i + 2))  # noqa: B023
        got = compute(one("padding_of_zeros", c).computation)
        np.testing.assert_allclose(got.context, plain.context(zeros, w), rtol=0, atol=1e-12)


def test_last_block_missing() -> None:
    c = examples.plain(n_k=19)
    found = [v.parameter for v in variants("last_block_missing", c)]
    assert [(p["tile"], p["n"]) for p in found] == [(8, 3), (16, 3)]
    assert_is(
        one("last_block_missing", c, n=3, tile=8, kept=16, n_k=19),
        c,
        hides(lambda b, h, i, j: j < 16),
    )


def test_nothing_without_a_causal_mask() -> None:
    for name, entry in MISTAKES.items():
        if entry.family == "causal" and entry.id != "T1":
            assert not variants(name, examples.plain()), name


def test_a_single_query_may_be_the_last() -> None:
    """One query that sees all keys, causal or not."""
    rng = np.random.default_rng(4)
    q, k, v = (rng.normal(size=(N_BATCH, N_HEAD, n, 11)) for n in (1, N_K, N_K))
    c = computation(q, k, v, masking=Masking(causal=True, offset=N_K - 1))
    assert not variants("aligned_lower_right", c)
