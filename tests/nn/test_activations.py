"""Activations against the C library, over their whole range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.nn import activations
from attnviz.nn.activations import ACTIVATIONS

X = np.concatenate([np.linspace(-12, 12, 4801), [-1e4, -100, 100, 1e4, 0]])


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


FORMULAS = {
    "relu": lambda x: max(0.0, x),
    "gelu": lambda x: x * phi(x),
    "gelu_tanh": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x / (1 + math.exp(-1.702 * x)) if x > -400 else 0.0,
    "silu": lambda x: x / (1 + math.exp(-x)) if x > -700 else 0.0,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float64(name):
    expected = [FORMULAS[name](x) for x in X]
    np.testing.assert_allclose(ACTIVATIONS[name](X), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32(name):
    x = X.astype(np.float32)
    expected = [FORMULAS[name](float(each)) for each in x]
    found = ACTIVATIONS[name](x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=6e-7)


def test_gelu_of_positive_numbers_is_exact_to_two_digits_of_float32():
    x = np.linspace(0.01, 20, 20001, dtype=np.float32)
    expected = np.array([float(each) * phi(float(each)) for each in x])
    np.testing.assert_allclose(activations.gelu(x), expected, rtol=3e-7)


def test_published_values_of_gelu():
    x = np.array([1.0, -1.0, -0.7518])
    np.testing.assert_allclose(activations.gelu(x), [0.84134, -0.15866, -0.16997], atol=5e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("inside", [True, False])
def test_layouts_and_out(name, order, inside, generator):
    base = generator.normal(size=(6, 10)).astype(np.float32)
    x = base[::2, ::2] if order == "strided" else np.asarray(base, order=order)
    expected = [[FORMULAS[name](float(v)) for v in row] for row in x]
    out = x if inside else np.empty_like(x)
    assert ACTIVATIONS[name](x, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=3e-7, atol=6e-7)


def test_blocks_change_nothing(monkeypatch, generator):
    x = generator.normal(size=1000).astype(np.float32)
    whole = activations.gelu(x)
    monkeypatch.setattr(activations, "BLOCK", 7)
    np.testing.assert_array_equal(activations.gelu(x), whole)


def test_nan_shows():
    assert np.isnan(activations.gelu(np.array([np.nan], np.float32))).all()
