"""Each wrong softmax against its formula in plain loops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.nn.types import Array
from tests.analysis.diagnose import examples, plain
from tests.analysis.diagnose.examples import D_K, N_HEAD, N_K, N_KV_HEAD, N_Q

Index = tuple[int, int, int, int]


def variants(name: str, c: Computation) -> list[Variant]:
    return list(MISTAKES[name].variants(c))


def assert_weights(variant: Variant, c: Computation, w: Array) -> None:
    got = compute(variant.computation)
    np.testing.assert_allclose(got.weights, w, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got.context, plain.context(c, w), rtol=1e-11, atol=1e-11)


def scores(c: Computation, masked: float = -math.inf) -> Array:
    """q · k / √d_k [n_batch, n_head, n_q, n_k], and what masked cells get instead."""
    seen = c.visible()
    shown = np.ones((1, 1, c.n_q, c.n_k), bool) if seen is None else seen
    x = plain.dots(c) / math.sqrt(D_K)
    for b, h, i, j in np.ndindex(*x.shape):
        if not shown[b % shown.shape[0], 0, i, j]:
            x[b, h, i, j] = masked
    return x


def softmax_over(x: Array, group: Callable[[Index], tuple[int, ...]]) -> Array:
    """exp(x) / Σ exp(x) over all cells of the same group."""
    total: dict[tuple[int, ...], float] = {}
    for at in np.ndindex(*x.shape):
        total[group(at)] = total.get(group(at), 0.0) + math.exp(max(x[at], -700.0))
    result = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        result[at] = math.exp(max(x[at], -700.0)) / total[group(at)]
    return result


AXES: dict[tuple[str, int], Callable[[Index], tuple[int, ...]]] = {
    ("softmax_over_queries", 0): lambda at: (at[0], at[1], at[3]),
    ("softmax_over_batch", 0): lambda at: (at[1], at[2], at[3]),
    ("softmax_over_batch", 1): lambda at: (at[2], at[3]),
    ("softmax_over_heads", 0): lambda at: (at[0], at[2], at[3]),
    ("softmax_over_heads_and_keys", 0): lambda at: (at[0], at[2]),
}


@pytest.mark.parametrize("example", [examples.plain, examples.causal])
@pytest.mark.parametrize(("name", "which"), AXES)
def test_axes(name: str, which: int, example: Callable[[], Computation]) -> None:
    """Where everything along the axis is masked, a large negative fill gives equal shares."""
    c = example()
    group = AXES[name, which]
    found = variants(name, c)
    axes = {v.parameter.get("axis") for v in found}
    found = [v for v in found if v.parameter.get("axis") == sorted(axes, key=str)[which]]
    alone = c.masking.is_empty or name in ("softmax_over_queries", "softmax_over_heads_and_keys")
    assert [v.parameter.get("masked") for v in found] == (
        [None] if alone else ["finite", "nan", "zero"]
    )
    x = scores(c, masked=-600.0)
    assert_weights(found[0], c, softmax_over(x, group))


def test_masked_cells_of_other_axes() -> None:
    """-inf gives NaN where all items are masked; or code puts zeros there."""
    c = examples.causal()
    _, nan, zero = variants("softmax_over_heads", c)
    hidden = np.broadcast_to(~np.asarray(c.visible()), (2, N_HEAD, N_Q, N_K))
    assert np.array_equal(np.isnan(compute(nan.computation).weights), hidden)
    assert not compute(zero.computation).weights[hidden].any()


def test_a_batch_of_one_has_only_ones() -> None:
    c = examples.plain()
    one = replace(c, q=c.q[:1], k=c.k[:1], v=c.v[:1])
    (weights, *_) = variants("softmax_over_batch", one)
    assert (compute(weights.computation).weights == 1).all()
    assert "ones" in MISTAKES["softmax_over_batch"].computed


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 70), (np.float16, 9)])
def test_no_max_subtracted(dtype: type, size: float) -> None:
    """NaN where NumPy's own type overflows; where nothing can, nothing is tried."""
    c = examples.causal()
    assert not variants("no_max_subtracted", replace(c, q=c.q * 0.1))
    c = replace(c, q=c.q * size)
    (variant,) = (
        v for v in variants("no_max_subtracted", c) if v.parameter["dtype"] == dtype.__name__
    )
    x = scores(c)
    with np.errstate(all="ignore"):
        powers = np.exp(x.astype(dtype))
        naive = powers / powers.sum(-1, keepdims=True, dtype=dtype)
    got = compute(variant.computation).weights
    assert 0 < np.isnan(naive).sum() < naive.size
    np.testing.assert_array_equal(np.isnan(got), np.isnan(naive))
    error = 8 * float(np.finfo(dtype).eps) * np.abs(x[np.isfinite(x)]).max()
    np.testing.assert_allclose(got, naive, rtol=error, atol=error)


def rowwise(c: Computation, weigh: plain.Weigh, masked: float = -math.inf) -> Array:
    x = scores(c, masked)
    w = np.zeros(x.shape)
    for b, h, i in np.ndindex(*x.shape[:3]):
        w[b, h, i] = weigh([float(each) for each in x[b, h, i]])
    return w


def test_softmax_one() -> None:
    c = examples.causal()
    (shifted,) = variants("one_added_after_shift", c)
    m_and = lambda row: [math.exp(x - max(row)) for x in row]  # noqa: E731
    assert_weights(shifted, c, rowwise(c, lambda r: [p / (1 + sum(m_and(r))) for p in m_and(r)]))
    (one,) = variants("softmax_one", c)
    exps = lambda row: [math.exp(x) for x in row]  # noqa: E731
    assert_weights(one, c, rowwise(c, lambda r: [p / (1 + sum(exps(r))) for p in exps(r)]))
    wanted_one = replace(c, sinks=np.zeros(N_HEAD))
    assert variants("one_added_after_shift", wanted_one)
    assert not variants("softmax_one", wanted_one)
    assert not variants("one_added_after_shift", examples.with_sinks())


def with_sink(c: Computation, denominator: Callable[[int], float]) -> Array:
    """exp(x) / (something of each head + Σ exp(x))"""
    x = scores(c)
    w = np.zeros(x.shape)
    for b, h, i in np.ndindex(*x.shape[:3]):
        powers = [math.exp(each) for each in x[b, h, i]]
        w[b, h, i] = [p / (denominator(h) + sum(powers)) for p in powers]
    return w


def test_sinks() -> None:
    c = examples.with_sinks()
    sinks = [float(s) for s in np.asarray(c.sinks)]
    (ignored,) = variants("sinks_ignored", c)
    assert_weights(ignored, c, with_sink(c, lambda h: 0))
    twice, thrice, *_ = variants("sinks_in_every_split", c)
    assert_weights(twice, c, with_sink(c, lambda h: 2 * math.exp(sinks[h])))
    assert_weights(thrice, c, with_sink(c, lambda h: 3 * math.exp(sinks[h])))
    factors = [1 / math.sqrt(D_K), math.sqrt(D_K), math.log(2), math.log2(math.e)]
    for variant, factor in zip(variants("sinks_scaled", c), factors, strict=True):
        assert_weights(variant, c, with_sink(c, lambda h, f=factor: math.exp(sinks[h] * f)))
    first, swapped = variants("sinks_of_other_heads", c)
    assert_weights(first, c, with_sink(c, lambda h: math.exp(sinks[0])))
    group = N_HEAD // N_KV_HEAD
    order = [k * group + m for m, k in itertools.product(range(group), range(N_KV_HEAD))]
    assert order[1] == group
    assert_weights(swapped, c, with_sink(c, lambda h: math.exp(sinks[order[h]])))
    for name in ("sinks_ignored", "sinks_in_every_split", "sinks_scaled", "sinks_of_other_heads"):
        assert not variants(name, examples.causal())


def visible(row: list[float]) -> list[float]:
    return [x for x in row if x != -math.inf]


def each(function: Callable[[float], float]) -> plain.Weigh:
    """A function of the visible scores, 0 elsewhere."""
    return lambda row: [0.0 if x == -math.inf else function(x) for x in row]


def shared(function: Callable[[float], float]) -> plain.Weigh:
    def weigh(row: list[float]) -> list[float]:
        total = sum(function(x) for x in visible(row))
        return [y / total if total else 0.0 for y in each(function)(row)]

    return weigh


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


OTHERS: dict[tuple[str, str], plain.Weigh] = {
    ("no_softmax", "x V"): each(lambda x: x),
    ("no_softmax", "x V / n_k"): each(lambda x: x / N_K),
    ("no_softmax", "x V / number of visible keys"): lambda row: [
        x / len(visible(row)) for x in each(lambda x: x)(row)
    ],
    ("sigmoid_for_softmax", "σ(x)"): each(sigmoid),
    ("sigmoid_for_softmax", "σ(x - ln n_k)"): each(lambda x: sigmoid(x - math.log(N_K))),
    ("softmax_without_sum", "exp(x)"): each(math.exp),
    ("softmax_without_sum", "exp(x - m)"): lambda row: [math.exp(x - max(row)) for x in row],
    ("softmax_without_sum", "exp(x - m) / n_k"): lambda row: [
        math.exp(x - max(row)) / N_K for x in row
    ],
    ("other_function", "x / Σ x"): shared(lambda x: x),
    ("other_function", "x / Σ |x|"): lambda row: [
        x / sum(map(abs, visible(row))) for x in each(lambda x: x)(row)
    ],
    ("other_function", "relu(x) / Σ relu(x)"): shared(lambda x: max(x, 0)),
    ("other_function", "relu(x)"): each(lambda x: max(x, 0)),
    ("other_function", "relu(x) / n_k"): each(lambda x: max(x, 0) / N_K),
    ("other_function", "tanh(x)"): each(math.tanh),
    ("other_function", "x² / Σ x²"): shared(lambda x: x * x),
    ("other_function", "softplus(x) / Σ softplus(x)"): shared(lambda x: math.log1p(math.exp(x))),
    ("other_function", "σ(x) / Σ σ(x)"): shared(sigmoid),
    ("other_function", "ln softmax(x)"): lambda row: each(
        lambda x: x - math.log(sum(map(math.exp, visible(row))))
    )(row),
    ("other_function", "one-hot(argmax x)"): lambda row: [float(x == max(row)) for x in row],
    ("softmax_of_other_sign", "softmax(-x)"): lambda row: plain.softmax(
        [x if x == -math.inf else -x for x in row]
    ),
    ("softmax_of_other_sign", "softmax(|x|)"): lambda row: plain.softmax(
        [x if x == -math.inf else abs(x) for x in row]
    ),
}


@pytest.mark.parametrize(("name", "formula"), OTHERS)
def test_no_softmax_or_another_function(name: str, formula: str) -> None:
    c = examples.causal()
    (variant,) = (v for v in variants(name, c) if v.parameter["formula"] == formula)
    assert_weights(variant, c, rowwise(c, OTHERS[name, formula]))


@pytest.mark.parametrize("name", sorted({name for name, _ in OTHERS}))
def test_every_other_function_is_tested(name: str) -> None:
    formulas = {v.parameter["formula"] for v in variants(name, examples.causal())}
    assert formulas == {formula for each, formula in OTHERS if each == name}


def test_softmax_twice() -> None:
    c = examples.causal()
    leaks, masked = variants("softmax_twice", c)
    assert_weights(leaks, c, rowwise(c, lambda row: plain.softmax(plain.softmax(row))))

    def again(row: list[float]) -> list[float]:
        first = plain.softmax(row)
        return plain.softmax([x if x == -math.inf else p for x, p in zip(row, first, strict=True)])

    assert_weights(masked, c, rowwise(c, again))
    assert len(variants("softmax_twice", examples.plain())) == 1
