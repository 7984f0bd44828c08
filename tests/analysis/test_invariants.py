"""What holds of all weights: each planted violation is found, and nothing else is."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.invariants import hold, rounding_of_sums
from attnviz.analysis.symptoms import symptoms
from attnviz.trace.parts import Part
from attnviz.trace.projections import precision

N_HEAD, N_Q, N_K = 3, 5, 7


def softmax(x, axis=-1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def part(weights, **more):
    weights = np.asarray(weights, np.float32)
    return Part("w", weights, eps=precision(weights), **more)


@pytest.fixture
def scores(generator):
    return generator.normal(size=(N_HEAD, N_Q, N_K))


@pytest.fixture
def right(scores):
    return softmax(scores).astype(np.float32)


def off(*parts):
    return {each.name: each for each in hold(parts) if not each.holds}


def said(*parts):
    return [finding.text for finding in symptoms(parts)]


def test_right_weights_hold(right):
    found = hold([part(right)])
    assert [(each.name, each.n_tested, each.n_off) for each in found] == [
        ("finite", right.size, 0),
        ("not_negative", right.size, 0),
        ("row_sums", N_HEAD * N_Q, 0),
        ("masked", 0, 0),
    ]
    assert said(part(right)) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_k", [2, 127, 4099])
def test_rounding_is_no_violation(generator, dtype, n_k):
    """Also not that of a softmax that adds up one number after the other in float32."""
    x = generator.normal(size=(2, 3, n_k)) * 3
    weights = np.zeros(x.shape, dtype)
    sums = np.float32 if np.dtype(dtype).itemsize < 8 else np.float64
    for head, row in itertools.product(range(2), range(3)):
        powers = np.exp(x[head, row] - x[head, row].max()).astype(sums)
        weights[head, row] = powers / np.add.accumulate(powers, dtype=sums)[-1]
    assert not off(Part("w", weights, eps=precision(weights)))
    uniform = np.full((1, 1, n_k), 1 / n_k, dtype)
    assert not off(Part("w", uniform, eps=precision(uniform)))


def test_bfloat16_is_recognised_by_its_bits(right):
    bits = right.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    assert np.abs(rounded.sum(-1) - 1).max() > 100 * rounding_of_sums(part(right), N_K)
    assert precision(rounded) == 2**-7
    assert not off(part(rounded))
    assert precision(np.array([0.5, 1, 3, 0], np.float32)) < 2**-7


def test_each_violation_is_named_with_its_place(right):
    wrong = right.copy()
    wrong[1, 2, 3] = np.nan
    wrong[2, 4, 6] = -0.25
    wrong[0, 1] *= 1.5
    found = off(part(wrong))
    assert set(found) == {"finite", "not_negative", "row_sums"}
    assert (found["finite"].n_off, found["not_negative"].n_off) == (1, 1)
    nan, negative = found["finite"].violations[0], found["not_negative"].violations[0]
    assert (nan.head, nan.row, nan.column, nan.off) == (1, 2, 3, np.inf)
    assert (negative.head, negative.row, negative.column, negative.value) == (2, 4, 6, -0.25)
    rows = {(v.head, v.row): v.off for v in found["row_sums"].violations}
    assert set(rows) == {(0, 1), (2, 4)}
    assert rows[0, 1] == pytest.approx(0.5, abs=1e-6)


def test_a_row_of_nan_is_one_violation_of_all_its_cells(right):
    right[1, 2] = np.nan
    found = off(part(right))["finite"]
    assert found.n_off == N_K
    (only,) = found.violations
    assert (only.head, only.row, only.column) == (1, 2, None)


@pytest.mark.parametrize("block", [1, N_HEAD * N_K * 2])
def test_large_weights_are_looked_at_in_blocks(right, block, monkeypatch):
    monkeypatch.setattr("attnviz.analysis.invariants.BLOCK_CELLS", block)
    right[2, 4, 0] += 1
    found = off(part(right))["row_sums"]
    assert (found.n_tested, found.n_off, found.worst.row) == (N_HEAD * N_Q, 1, 4)


def test_a_row_of_zeros_needs_a_query_that_sees_nothing(right):
    right[:, 3] = 0
    assert not off(part(right))
    seen = np.ones((N_Q, N_K), bool)
    assert off(part(right, visible=seen))["row_sums"].n_off == N_HEAD
    seen[3] = False
    assert not off(part(right, visible=seen))


def test_sinks_take_some_of_each_row(right):
    assert off(part(right * np.float32(0.75)))["row_sums"].n_off == N_HEAD * N_Q
    assert not off(part(right * np.float32(0.75), sinks=True))
    assert off(part(right * np.float32(1.25), sinks=True))["row_sums"].n_off == N_HEAD * N_Q


@pytest.mark.parametrize(("fill", "leaks"), [(-np.inf, False), (-100, False), (-9, True)])
def test_leaks_past_the_mask(scores, fill, leaks):
    seen = np.tri(N_Q, N_K, N_K - N_Q, dtype=bool)
    weights = softmax(np.where(seen, scores, fill)).astype(np.float32)
    found = off(part(weights, visible=seen, mask="causal"))
    assert set(found) == ({"masked"} if leaks else set())
    faint = [text for text in said(part(weights, visible=seen)) if "finite fill" in text]
    assert bool(faint) == (fill == -100)
    if leaks:
        worst = found["masked"].worst
        hidden = np.where(seen, 0, weights)
        assert worst.off == hidden.max()
        assert hidden[worst.head, worst.row, worst.column] == hidden.max()


def test_weights_are_the_softmax_of_their_logits(scores, right):
    logits = np.where(np.tri(N_Q, N_K, 2, dtype=bool), scores, -np.inf)
    weights = softmax(logits).astype(np.float32)
    assert not off(part(weights, logits=logits))
    assert not off(part(weights * np.float32(0.6), logits=logits, sinks=True))
    assert set(off(part(right, logits=logits))) == {"of_logits"}
    assert set(off(part(weights, logits=logits * 2))) == {"of_logits"}


def test_large_fills_do_not_hide_wrong_logits(scores):
    fills = np.where(np.tri(N_Q, N_K, 2, dtype=bool), scores, -1e9)
    assert set(off(part(softmax(fills), logits=fills * 1.01))) == {"of_logits"}


@pytest.mark.parametrize(
    ("axis", "words"),
    [(-2, "softmax over the queries"), (0, "softmax over heads")],
)
def test_a_softmax_over_another_axis_is_recognised(scores, axis, words):
    weights = part(softmax(scores, axis))
    assert "row_sums" in off(weights)
    assert [text for text in said(weights) if words in text]


def test_one_softmax_over_heads_and_keys(scores):
    joint = softmax(scores.swapaxes(0, 1).reshape(N_Q, -1)).reshape(N_Q, N_HEAD, N_K)
    assert any("heads and keys" in text for text in said(part(joint.swapaxes(0, 1))))


def test_a_softmax_over_the_batch(generator):
    items = softmax(generator.normal(size=(3, N_HEAD, N_Q, N_K)), 0)
    parts = [replace(part(x), record=f"w[{i}]") for i, x in enumerate(items)]
    assert "w: all items of the batch together sum to 1: softmax over the batch" in said(*parts)
    rows = softmax(generator.normal(size=(3, N_HEAD, N_Q, N_K)))
    parts = [replace(part(x), record=f"w[{i}]") for i, x in enumerate(rows)]
    assert said(*parts) == []


def test_dropout_that_was_left_on(generator):
    weights = softmax(generator.normal(size=(4, 31, 37)))
    kept = generator.random(weights.shape) < 0.9
    (text,) = said(part(weights * kept / 0.9))
    assert "dropout left on?" in text
    share = float(text.split("%")[0].split()[-1])
    assert share == pytest.approx(100 * (1 - kept.mean()), abs=1)


def test_causal_weights_are_not_taken_for_dropout(generator):
    seen = np.tri(31, dtype=bool)
    weights = softmax(np.where(seen, generator.normal(size=(4, 31, 31)), -np.inf))
    assert said(part(weights)) == []


def test_what_else_is_odd_is_said(right, scores):
    seen = np.tri(N_Q, N_K, 2, dtype=bool)
    assert any("all sum to 255" in text for text in said(part(right * 255)))
    assert any("are these scores?" in text for text in said(part(scores * 3)))
    assert any("--sinks" in text for text in said(part(right * np.linspace(0.5, 0.9, N_K))))
    inverted = softmax(np.where(seen, -np.inf, scores[:, :, :])[:, :4])
    assert any("--true-is hidden" in text for text in said(part(inverted, visible=seen[:4])))
    same = right.copy()
    same[2] = same[0]
    assert any("w H0, H2: heads with the same" in text for text in said(part(same)))
    even = right.copy()
    even[1, 3] = 1 / N_K
    assert any(f"(1/{N_HEAD * N_Q}): rows that give every" in text for text in said(part(even)))
    assert any(
        "bit for bit" in text for text in said(part(right), replace(part(right), record="x"))
    )


def test_rows_without_keys(right):
    blind = np.ones((N_Q, N_K), bool)
    blind[2] = False
    nan = right.copy()
    nan[:, 2] = np.nan
    assert any("see no key are NaN" in text for text in said(part(nan, visible=blind)))
    assert any("logits are all -inf" in text for text in said(part(nan)))
    assert any("see no key have weights" in text for text in said(part(right, visible=blind)))
    zero = right.copy()
    zero[:, 2] = 0
    assert said(part(zero)) == [f"w ({N_HEAD}): rows of zeros: queries that see no key?"]
