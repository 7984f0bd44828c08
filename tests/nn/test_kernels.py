"""Kernels and what they give as weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.nn.kernels import KERNELS, constant, regression_weights

N_Q, N_K = 5, 7

FORMULAS = {
    "boxcar": lambda u: float(abs(u) <= 1),
    "triangle": lambda u: max(0.0, 1 - abs(u)),
    "gaussian": lambda u: math.exp(-u * u / 2),
}


def test_every_kernel_has_its_formula():
    assert list(KERNELS) == list(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("width", [0.3, 2.0])
def test_by_loops(name, width, generator):
    q, k = generator.normal(size=N_Q), generator.normal(size=N_K)
    found = regression_weights(KERNELS[name], q, k, width)
    for i in range(N_Q):
        row = [FORMULAS[name]((q[i] - k[j]) / width) for j in range(N_K)]
        expected = [value / sum(row) if sum(row) else 0 for value in row]
        np.testing.assert_allclose(found[i], expected, atol=1e-15)


def test_the_edge_of_a_boxcar_is_inside():
    np.testing.assert_array_equal(KERNELS["boxcar"](np.array([-1, 1, 1.001])), [1, 1, 0])


@pytest.mark.parametrize("name", ["boxcar", "triangle"])
def test_no_key_in_reach_gives_zeros(name):
    found = regression_weights(KERNELS[name], np.array([0.0, 9.0]), np.array([0.5, 0.6]), 1.0)
    np.testing.assert_allclose(found.sum(-1), [1, 0])
    assert not found[1].any()


def test_constant_is_the_average(generator):
    found = regression_weights(constant, generator.normal(size=N_Q), generator.normal(size=N_K), 3)
    np.testing.assert_allclose(found, np.full((N_Q, N_K), 1 / N_K))
