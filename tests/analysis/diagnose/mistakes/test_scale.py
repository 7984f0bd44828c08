"""Each wrong scale against its formula in plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from tests.analysis.diagnose import examples, plain
from tests.analysis.diagnose.examples import D_K, D_MODEL, D_V, N_HEAD, N_K, N_KV_HEAD, N_Q


def variants(name: str, c: Computation) -> list[Variant]:
    return list(MISTAKES[name].variants(c))


def assert_is(variant: Variant, c: Computation, logit: plain.Logit, **how: plain.Weigh) -> None:
    """The variant gives the weights and the context of a formula."""
    got = compute(variant.computation)
    w = plain.weights(c, logit, **how)
    np.testing.assert_allclose(got.weights, w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.context, plain.context(c, w), rtol=0, atol=1e-12)


def factor(value: float) -> plain.Logit:
    return lambda x, b, h, i, j: x * value


FACTORS: dict[str, list[float]] = {
    "no_scale": [1],
    "scale_of_the_model": [1 / math.sqrt(D_MODEL), 1 / math.sqrt(N_HEAD * D_K)],
    "scale_of_hidden_per_head": [1 / math.sqrt(D_MODEL / N_HEAD)],
    "scale_without_root": [1 / D_K],
    "scale_twice": [1 / math.sqrt(D_K) / math.sqrt(D_K)],
    "scale_inverted": [math.sqrt(D_K), D_K],
    "scale_of_padded_width": [1 / math.sqrt(n) for n in (16, 32, 64, 128, 256)],
    "scale_of_another_model": [1],
}


@pytest.mark.parametrize("name", FACTORS)
def test_factor(name: str) -> None:
    c = examples.plain()
    found = variants(name, c)
    assert len(found) == len(FACTORS[name])
    for variant, value in zip(found, FACTORS[name], strict=True):
        assert_is(variant, c, factor(value))
        assert variant.parameter.get("scale", value) == pytest.approx(value, rel=1e-12)


def holds(name: str, c: Computation, values: list[float]) -> None:
    """The variants include these scales."""
    found = [float(v.computation.scale) for v in variants(name, c)]
    for value in values:
        assert any(math.isclose(value, each, rel_tol=1e-12) for each in found), value


def test_scale_of_something_else() -> None:
    c = examples.plain()
    counts = (N_HEAD, N_KV_HEAD, N_KV_HEAD * D_K, N_Q, N_K, D_V)
    roots = [1 / math.sqrt(n) for n in counts]
    holds("scale_of_something_else", c, [*roots, 0.5, 1 / 8, 8, D_K**-0.25, D_K**-0.75])
    first = variants("scale_of_something_else", c)[0]
    assert_is(first, c, factor(1 / math.sqrt(N_HEAD)))
    assert first.words == f"1/√{N_HEAD} (n_head)"


def test_scale_of_layer() -> None:
    c = examples.plain()
    fit = 1 / math.sqrt(D_K)
    holds("scale_by_layer", c, [fit / 2, fit / 12, fit * 2, fit * 12])
    holds("scale_by_deep_layer", c, [fit / 13, fit / 32, fit * 48])
    for variant in variants("scale_by_layer", c)[:4]:
        layer = variant.parameter["layer"]
        divided = "·" not in variant.parameter["factor"]
        assert_is(variant, c, factor(fit / (layer + 1) if divided else fit * (layer + 1)))


def test_scale_of_longer_context() -> None:
    """Published: ×1.59 for DeepSeek-V2-Lite and ×1.87 for V3."""
    c = examples.plain()
    fit = 1 / math.sqrt(D_K)
    lite, v3 = ((0.1 * m * math.log(40) + 1) ** 2 for m in (0.707, 1.0))
    assert (round(lite, 2), round(v3, 2)) == (1.59, 1.87)
    for value in (lite, v3, math.sqrt(v3), 1 + math.log(32) / math.log(4096)):
        holds("scale_of_longer_context", c, [fit * value])
        holds("longer_context_missed", c, [fit / value])


def test_custom_scale_dropped() -> None:
    assert not variants("custom_scale_dropped", examples.plain())
    c = examples.plain(scale=0.37)
    (variant,) = variants("custom_scale_dropped", c)
    assert_is(variant, c, factor(1 / math.sqrt(D_K)))
    assert variant.parameter["right"] == " · 0.37"
    twice = [0.37 / math.sqrt(D_K), 0.37 * 0.37]
    for variant, value in zip(variants("scale_twice", c), twice, strict=True):
        assert_is(variant, c, factor(value))
    assert_is(variants("scale_inverted", c)[-1], c, factor(1 / 0.37))


def test_scale_of_a_shard() -> None:
    """The width is recomputed from what one of 2, 4 or 8 devices holds: 1/√32, not 1/√64."""
    c = examples.plain()
    wide = examples.computation(*(np.tile(x, 64)[..., :64] for x in (c.q, c.k, c.v)))
    assert [v.computation.scale for v in variants("scale_of_a_shard", wide)] == [
        pytest.approx(1 / math.sqrt(n)) for n in (32, 16, 8)
    ]
    assert not variants("scale_of_a_shard", c)


def test_no_scale_is_wanted() -> None:
    """T5: 1/√d_k is the mistake, and no scale is none."""
    c = examples.plain(scale=1.0)
    (variant,) = variants("scale_of_another_model", c)
    assert_is(variant, c, factor(1 / math.sqrt(D_K)))
    assert not variants("no_scale", c)
    assert not variants("scale_twice", c)


def masked(c: Computation, formula: Callable[[float, float], float]) -> plain.Logit:
    """The formula of q · k and the bias where a key is visible."""
    assert c.bias is not None
    bias = c.bias

    def logit(x: float, b: int, h: int, i: int, j: int) -> float:
        return formula(x, float(bias[0, h, i, j])) if j <= i + N_K - N_Q else -math.inf

    return logit


def test_scale_and_bias() -> None:
    c = examples.biased()
    s = 1 / math.sqrt(D_K)
    (on_bias,) = variants("scale_on_bias", c)
    assert_is(on_bias, c, masked(c, lambda x, bias: (x + bias) * s))
    (over,) = variants("bias_over_scale", c)
    assert_is(over, c, masked(c, lambda x, bias: x * s + bias / s))
    assert not variants("scale_on_bias", examples.causal())


def base_two(row: list[float]) -> list[float]:
    powers = [0.0 if x == -math.inf else 2.0**x for x in row]
    return [p / sum(powers) for p in powers]


def test_bases() -> None:
    c = examples.biased()
    s = 1 / math.sqrt(D_K)
    (without,) = variants("exp2_without_log2e", c)
    assert_is(without, c, masked(c, lambda x, bias: x * s + bias), weigh=base_two)
    log2e = math.log2(math.e)
    on_scores, on_both = variants("exp_with_log2e", c)
    assert_is(on_scores, c, masked(c, lambda x, bias: x * s * log2e + bias))
    assert_is(on_both, c, masked(c, lambda x, bias: (x * s + bias) * log2e))
    (bias_alone,) = variants("bias_without_log2e", c)
    assert_is(bias_alone, c, masked(c, lambda x, bias: x * s * log2e + bias), weigh=base_two)


def test_bases_with_a_cap() -> None:
    """log2(e) comes behind the cap."""
    c = examples.capped()
    s, log2e = 1 / math.sqrt(D_K), math.log2(math.e)
    (variant,) = variants("exp_with_log2e", c)

    def logit(x: float, b: int, h: int, i: int, j: int) -> float:
        visible = j <= i + N_K - N_Q
        return 1.5 * math.tanh(x * s / 1.5) * log2e if visible else -math.inf

    assert_is(variant, c, logit)


@pytest.mark.parametrize("of_sink", [0, 1])
def test_bases_with_sinks(of_sink: int) -> None:
    c = examples.with_sinks()
    assert c.sinks is not None
    s = 1 / math.sqrt(D_K)
    variant = variants("exp2_without_log2e", c)[of_sink]
    got = compute(variant.computation).weights
    for b, h, i, j in np.ndindex(*got.shape):
        row = [2.0 ** (x * s) for x in plain.dots(c)[b, h, i, : i + N_K - N_Q + 1]]
        sink = math.exp(c.sinks[h]) if of_sink else 2.0 ** c.sinks[h]
        wanted = row[j] / (sum(row) + sink) if j < len(row) else 0
        assert got[b, h, i, j] == pytest.approx(wanted, abs=1e-12)
        if b or h:
            break
