"""Every score against its formula, written as loops."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.nn import scores
from attnviz.nn.scores import SCORES

N_BATCH, N_HEAD, N_Q, N_K, D_Q, D_K, D_HIDDEN = 2, 3, 5, 7, 11, 13, 17


def by_loops(formula, q, k):
    """formula(q_i, k_j) for every pair, [..., n_q, n_k]."""
    shape = (*q.shape[:-1], k.shape[-2])
    found = np.empty(shape)
    for index in np.ndindex(shape):
        found[index] = formula(q[index[:-1]], k[(*index[:-2], index[-1])])
    return found


@pytest.fixture
def same(generator):
    """Queries and keys of one width."""
    return generator.normal(size=(N_BATCH, N_HEAD, N_Q, D_K)), generator.normal(
        size=(N_BATCH, N_HEAD, N_K, D_K)
    )


@pytest.fixture
def different(generator):
    return generator.normal(size=(N_BATCH, N_HEAD, N_Q, D_Q)), generator.normal(
        size=(N_BATCH, N_HEAD, N_K, D_K)
    )


FORMULAS = {
    "dot": lambda q, k: q @ k,
    "scaled_dot": lambda q, k: q @ k / math.sqrt(D_K),
    "cosine": lambda q, k: q @ k / (np.linalg.norm(q) * np.linalg.norm(k)),
    "gaussian": lambda q, k: -((q - k) ** 2).sum() / 2,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name, same):
    q, k = same
    np.testing.assert_allclose(SCORES[name](q, k), by_loops(FORMULAS[name], q, k), atol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_scale_is_a_factor(name, same):
    q, k = same
    base = SCORES[name](q, k, scale=1.0)
    np.testing.assert_allclose(SCORES[name](q, k, scale=0.3), 0.3 * base, atol=1e-12)


def test_gaussian_sigma(same):
    q, k = same
    np.testing.assert_allclose(
        scores.gaussian(q, k, sigma=3.0), scores.gaussian(q, k) / 9, atol=1e-12
    )


def test_additive_takes_different_widths(different, generator):
    q, k = different
    w_q, w_k = generator.normal(size=(D_HIDDEN, D_Q)), generator.normal(size=(D_HIDDEN, D_K))
    w_v = generator.normal(size=D_HIDDEN)
    expected = by_loops(lambda x, y: w_v @ np.tanh(w_q @ x + w_k @ y), q, k)
    np.testing.assert_allclose(scores.additive(q, k, w_q, w_k, w_v), expected, atol=1e-12)


def test_additive_in_blocks_is_the_same(different, generator, monkeypatch):
    q, k = different
    w_q, w_k = generator.normal(size=(D_HIDDEN, D_Q)), generator.normal(size=(D_HIDDEN, D_K))
    w_v = generator.normal(size=D_HIDDEN)
    whole = scores.additive(q, k, w_q, w_k, w_v)
    monkeypatch.setattr(scores, "BLOCK_BYTES", 1)
    np.testing.assert_array_equal(scores.additive(q, k, w_q, w_k, w_v), whole)


def test_general_takes_different_widths(different, generator):
    q, k = different
    w = generator.normal(size=(D_Q, D_K))
    expected = by_loops(lambda x, y: x @ w @ y, q, k)
    np.testing.assert_allclose(scores.general(q, k, w), expected, atol=1e-12)


def test_cosine_of_a_zero_vector_is_zero():
    assert scores.cosine(np.zeros((1, 1, 3)), np.ones((1, 1, 3))).item() == 0


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(name, dtype, same):
    q, k = (x.astype(dtype) for x in same)
    assert SCORES[name](q, k).dtype == dtype


@pytest.mark.parametrize("name", [name for name in FORMULAS if SCORES[name].takes("out")])
def test_out_is_used_but_right(name, same):
    q, k = same
    room = np.full((N_BATCH, N_HEAD, N_Q, N_K), np.nan)
    np.testing.assert_array_equal(SCORES[name](q, k, out=room), SCORES[name](q, k))


def test_widths_that_differ_are_named(different):
    with pytest.raises(AttnvizError, match=r"q has d_k = 11, k has d_k = 13"):
        scores.dot(*different)


@pytest.mark.parametrize("name", SCORES)
def test_parameters_fit_the_function(name, generator):
    arrays = {
        key: generator.normal(size=shape)
        for key, shape in SCORES[name].array_shapes(D_K, D_K, D_HIDDEN).items()
    }
    q, k = generator.normal(size=(1, N_Q, D_K)), generator.normal(size=(1, N_K, D_K))
    assert partial(SCORES[name], **arrays)(q, k).shape == (1, N_Q, N_K)
