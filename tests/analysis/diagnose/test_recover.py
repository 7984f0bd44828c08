"""What follows from the numbers without a hypothesis."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.recover import recover, scale_name

N_Q, N_K, D_K, D_V = 7, 11, 5, 13


def wanted(seed=0, **fields):
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(2, 3, N_Q, D_K))
    k = rng.normal(size=(2, 3, N_K, D_K))
    v = rng.normal(size=(2, 3, N_K, D_V))
    return computation(q, k, v, **fields)


def recovered(c, **given):
    case = Case(c, {name: x.astype(np.float32) for name, x in given.items()}, "float32")
    return recover(case, Judge(case, np.arange(N_Q), "float32"))


def test_the_weights_follow_from_the_output():
    c = wanted()
    right = compute(c)
    found = recovered(c, context=right.context)
    assert found.weights.recovered
    assert np.abs(found.weights.values - right.weights).max() < 5e-6
    assert found.weights.error < 1e-5
    np.testing.assert_allclose(found.row_sums, 1, atol=1e-5)


def test_not_where_there_are_more_keys_than_features():
    c = wanted()
    c = replace(c, v=c.v[..., :7])
    found = recovered(c, context=compute(c).context)
    assert found.weights is None
    assert found.scale == pytest.approx(D_K**-0.5, rel=1e-3)  # the search needs no weights


def test_a_mask_that_is_dropped_is_not_read_from_the_keys_it_leaves():
    """A solution over the visible keys alone would be a lie: the others had weight."""
    c = replace(wanted(masking=Masking(causal=True, offset=N_K - N_Q)), v=wanted().v[..., :7])
    out = compute(c.with_masking(causal=False)).context
    assert recovered(c, context=out).weights is None


@pytest.mark.parametrize("scale", [1.0, 0.2, 0.07, 2.5])
def test_the_scale_is_a_regression(scale):
    c = wanted()
    found = recovered(c, context=compute(replace(c, scale=scale)).context)
    assert found.scale == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize("scale", [1.0, 0.2, 0.07])
def test_the_scale_is_found_by_a_search(scale):
    c = wanted()
    c = replace(c, v=c.v[..., :7])
    found = recovered(c, context=compute(replace(c, scale=scale)).context)
    assert found.scale == pytest.approx(scale, rel=1e-3)


def test_no_scale_is_made_up():
    c = wanted()
    noise = np.random.default_rng(5).normal(size=(2, 3, N_Q, D_V))
    assert recovered(c, context=noise).scale is None


@pytest.mark.parametrize(
    ("scale", "name"),
    [
        (D_K**-0.5, "1/√5 (d_k)"),
        ((3 * D_K) ** -0.5, "1/√15 (d_model)"),
        (3**-0.5, "1/√3 (n_head)"),
        (1.0, "1"),
        (1 / D_K, "1/5 (1/d_k)"),
        (1 / 4, "1/√16 (d_k padded to 16)"),
        (1 / math.sqrt(D_K) / math.log(2), "1/(√5 ln 2)"),
        (0.123, ""),
        (-0.5, ""),
    ],
)
def test_a_scale_has_a_name(scale, name):
    assert scale_name(scale, wanted()) == name


def test_the_mask_is_read_from_the_zeros():
    c = wanted(masking=Masking(causal=True, offset=N_K - N_Q))
    found = recovered(c, context=compute(c.with_masking(offset=0)).context)
    assert found.keys.n_missing > 0
    assert found.keys.n_leaking == 0
    assert found.keys.masking is None or found.keys.masking.offset == 0
    leaking = recovered(c, context=compute(c.with_masking(causal=False)).context)
    assert leaking.keys.n_leaking == 2 * 3 * sum(range(N_Q))
    assert leaking.keys.masking.parts == ()


def test_a_bias_that_is_not_wanted_is_found():
    c = wanted()
    slopes = np.array([0.5, 0.25, 0.125])
    distance = np.arange(N_Q)[:, None] + N_K - N_Q - np.arange(N_K)
    c = c.with_masking(offset=N_K - N_Q)
    alibi = replace(c, bias=-slopes[:, None, None] * distance)
    found = recovered(c, context=compute(alibi).context)
    np.testing.assert_allclose(found.bias.slopes, slopes, atol=1e-3)
    other = replace(c, bias=np.random.default_rng(3).normal(size=(3, N_Q, N_K)) * 0.05)
    values = recovered(c, weights=compute(other).weights).bias
    assert values is None or values.slopes is None


def test_no_bias_where_there_is_none():
    c = wanted()
    assert recovered(c, context=compute(replace(c, scale=0.3)).context).bias is None


def test_rows_that_do_not_sum_to_1():
    c = wanted(sinks=np.array([0.0, 1.0, 2.0]))
    found = recovered(wanted(), weights=compute(c).weights)
    assert found.row_sums[1] < 0.99
    assert found.manifest()["row_sums"] == list(found.row_sums)
