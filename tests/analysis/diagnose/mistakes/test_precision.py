"""Rounding and overflow against NumPy's own half precision, number by number."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.api import diagnose
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.facts import Dropped, Facts
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from tests.analysis.diagnose import examples, plain
from tests.analysis.diagnose.examples import D_K, D_V, N_HEAD, N_K, N_KV_HEAD, N_Q


def variants(name: str, c: Computation, **parameter: object) -> list[Variant]:
    found = MISTAKES[name].variants(c)
    return [v for v in found if parameter.items() <= dict(v.parameter).items()]


def bfloat16(x: float) -> float:
    """The nearest number of 8 significant bits, ties to even."""
    if x == 0 or not math.isfinite(x):
        return x
    unit = 2.0 ** (math.floor(math.log2(abs(x))) - 7)
    return round(x / unit) * unit


ROUND = {"float16": lambda x: float(np.float16(x)), "bfloat16": bfloat16}


@pytest.mark.parametrize("dtype", ROUND)
def test_softmax_in_half(dtype: str) -> None:
    c = examples.plain()
    to = ROUND[dtype]

    def ends(row: list[float]) -> list[float]:
        return [to(p) for p in plain.softmax([to(x) for x in row])]

    def every(row: list[float]) -> list[float]:
        row = [to(x) for x in row]
        powers = [to(math.exp(to(x - max(row)))) for x in row]
        total = to(sum(powers))
        return [to(p / total) for p in powers]

    for rounds, weigh in (("scores and weights", ends), ("every operation", every)):
        (variant,) = variants("softmax_in_half", c, dtype=dtype, rounds=rounds)
        w = plain.weights(c, lambda x, b, h, i, j: x / math.sqrt(D_K), weigh)
        got = compute(variant.computation).weights
        np.testing.assert_allclose(got, w, rtol=0, atol=1e-12)
        assert np.abs(got - compute(c).weights).max() > 1e-5


def test_attention_in_half() -> None:
    """NumPy's float16, one operation after the other; its products sum in another order."""
    c = examples.plain()
    (variant,) = variants("attention_in_half", c, dtype="float16")
    got = compute(variant.computation)
    half = lambda x: x.astype(np.float16)  # noqa: E731
    k, v = (np.repeat(half(x), N_HEAD // N_KV_HEAD, 1).astype(np.float64) for x in (c.k, c.v))
    scores = half(half(half(c.q).astype(np.float64) @ k.swapaxes(-1, -2)) * half(np.array(c.scale)))
    weights = np.exp(scores.astype(np.float64))
    weights = half(weights / weights.sum(-1, keepdims=True)).astype(np.float64)
    np.testing.assert_allclose(got.weights, weights, atol=2.5e-4)
    np.testing.assert_allclose(got.context, half(weights @ v), atol=2e-3)
    assert (half(got.context) == got.context).all()


def test_scores_overflow() -> None:
    """More than 65504 is infinite; the row is NaN. Where nothing can overflow, nothing is tried."""
    c = examples.plain()
    assert not variants("scores_overflow", c)
    c = replace(c, q=c.q * 2e4)
    over = np.abs(plain.dots(c)) >= 65520
    assert 0 < over.sum() < over.size
    infinite, cut = variants("scores_overflow", c)
    raw = compute(infinite.computation).raw
    np.testing.assert_array_equal(np.isinf(raw), over)
    lost = (plain.dots(c) >= 65520).any(-1)
    np.testing.assert_array_equal(np.isnan(compute(infinite.computation).context).any(-1), lost)
    assert np.abs(compute(cut.computation).raw).max() == 65504


def test_values_whose_scale_is_not_undone() -> None:
    c = examples.causal()
    assert not variants("value_scale_ignored", c)
    gain = np.repeat([0.25, 3.0, 7.0], N_HEAD // N_KV_HEAD)
    (variant,) = variants("value_scale_ignored", replace(c, facts=Facts(gain=gain)))
    wanted = compute(c).context
    got = compute(variant.computation).context
    for h in range(N_HEAD):
        np.testing.assert_allclose(got[:, h], wanted[:, h] * gain[h], rtol=1e-12)
    uneven = Facts(gain=np.arange(1.0, N_HEAD + 1))
    assert not variants("value_scale_ignored", replace(c, facts=uneven))


def test_dropout_as_it_was_found() -> None:
    c = examples.causal()
    left = np.random.default_rng(3).random((2, N_HEAD, N_Q, N_K)) > 0.3
    facts = Facts(dropped=Dropped(left, 0.3, 1 / 0.7, int((~left).sum()), int(left.sum())))
    (variant,) = variants("dropout_left_on", replace(c, facts=facts))
    right = compute(c).weights
    w = np.zeros_like(right)
    for at in np.ndindex(*w.shape):
        w[at] = right[at] / 0.7 if left[at] else 0
    got = compute(variant.computation)
    np.testing.assert_allclose(got.weights, w, atol=1e-12)
    np.testing.assert_allclose(got.context, plain.context(c, w), atol=1e-12)
    assert got.context.shape[-1] == D_V
    rows = np.array([1, 3])
    part = compute(variant.computation.at(rows)).weights
    np.testing.assert_allclose(part, got.weights[:, :, rows], atol=1e-12)
    assert not variants("dropout_not_rescaled", replace(c, facts=facts))
    assert not variants("dropout_left_on", c)


@pytest.mark.parametrize(
    ("name", "factor"),
    [("dropout_factor_at_evaluation", 1 / 0.9), ("dropout_of_the_old_kind", 0.9)],
)
def test_the_factor_of_dropout_alone(name: str, factor: float) -> None:
    c = examples.causal()
    (variant,) = variants(name, c, p=0.1)
    np.testing.assert_allclose(
        compute(variant.computation).weights, compute(c).weights * factor, rtol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_softmax_in_half_precision_is_named(dtype: str, seed: int) -> None:
    """Scores of float32 sums, of which a few are rounded the other way, through a softmax in half
    precision; all else in float32."""
    rng = np.random.default_rng(seed)
    q, k, v = (rng.normal(size=(2, 3, 19, d)).astype(np.float32) for d in (16, 16, 23))
    scores = np.vectorize(ROUND[dtype])((q @ k.swapaxes(-1, -2)) / np.float32(4))
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    weights = np.vectorize(ROUND[dtype])(powers / powers.sum(-1, keepdims=True))
    found = diagnose(q, k, v, weights.astype(np.float32) @ v)
    assert found.verdict == "differs"
    assert [cause.id for cause in found.causes] == ["X9"]
    assert found.causes[0].parameter == {"dtype": dtype, "rounds": "scores and weights"}
