"""Each wrong softcap against its formula in plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import STEPS, Computation, cap, compute, hide
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from tests.analysis.diagnose import examples, plain
from tests.analysis.diagnose.examples import D_K, N_K, N_Q

CAP = 1.5
SCALE = 1 / math.sqrt(D_K)


def variants(name: str, c: Computation) -> list[Variant]:
    return list(MISTAKES[name].variants(c))


def assert_is(variant: Variant, c: Computation, logit: plain.Logit) -> None:
    got = compute(variant.computation)
    w = plain.weights(c, logit)
    np.testing.assert_allclose(got.weights, w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.context, plain.context(c, w), rtol=0, atol=1e-12)


def causal(formula: Callable[[float], float], hidden: float = -math.inf) -> plain.Logit:
    return lambda x, b, h, i, j: formula(x) if j <= i + N_K - N_Q else hidden


def capped(x: float) -> float:
    return CAP * math.tanh(x / CAP)


FORMULAS: dict[str, list[Callable[[float], float]]] = {
    "softcap_dropped": [lambda x: x * SCALE],
    "softcap_misspelled": [
        lambda x: x * SCALE * math.tanh(x * SCALE / CAP),
        lambda x: math.tanh(x * SCALE / CAP),
        lambda x: CAP * math.tanh(x * SCALE),
        lambda x: max(-CAP, min(CAP, x * SCALE)),
    ],
    "other_softcap": [lambda x, c=c: c * math.tanh(x * SCALE / c) for c in (50, 30, 20, 15, 10)],
    "softcap_in_another_place": [lambda x: capped(x) * SCALE],
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name: str) -> None:
    c = examples.capped()
    for variant, formula in zip(variants(name, c), FORMULAS[name], strict=True):
        assert_is(variant, c, causal(formula))


def test_after_the_mask() -> None:
    """Masked keys get minus the cap."""
    c = examples.capped()
    (variant,) = variants("softcap_after_mask", c)
    assert_is(variant, c, causal(lambda x: capped(x * SCALE), hidden=-CAP))


def test_before_the_mask_where_it_should_be_after() -> None:
    """ONNX before its errata: the cap is wanted behind the mask."""
    c = examples.capped()
    c = replace(c, steps=c.moved(cap, after=hide).steps)
    assert not variants("softcap_after_mask", c)
    before = variants("softcap_in_another_place", c)[-1]
    assert before.computation.steps == STEPS
    assert_is(before, c, causal(lambda x: capped(x * SCALE)))


def test_after_the_bias() -> None:
    c = replace(examples.biased(), softcap=CAP)
    variant = variants("softcap_in_another_place", c)[-1]
    bias = np.asarray(c.bias)

    def logit(x: float, b: int, h: int, i: int, j: int) -> float:
        return capped(x * SCALE + bias[0, h, i, j]) if j <= i + N_K - N_Q else -math.inf

    assert_is(variant, c, logit)


def test_nothing_without_a_cap() -> None:
    c = examples.causal()
    for name in set(FORMULAS) - {"other_softcap"} | {"softcap_after_mask"}:
        assert not variants(name, c)
    caps = [v.computation.softcap for v in variants("other_softcap", c)]
    assert caps == [50, 30, 20, 15, 10]
    assert 30 not in [
        v.computation.softcap for v in variants("other_softcap", replace(c, softcap=30.0))
    ]
