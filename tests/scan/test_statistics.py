"""Statistics of many texts against NumPy's of all values at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnviz.analysis.metrics import METRICS, UNITS
from attnviz.scan.statistics import (
    LEVELS,
    N_BIN,
    SHARES,
    Bins,
    bins_of,
    measured,
    merge,
    nothing,
    quantiles,
)

N_METRIC, N_ROW = 2, 3
BINS = [SHARES, Bins(0.01, 1.0, geometric=True)]

numbers = st.one_of(st.just(np.nan), st.floats(0, 1))
corpora = st.integers(1, 23).flatmap(
    lambda n: arrays(np.float64, (n, N_METRIC, N_ROW), elements=numbers)
)


def of(values):
    return measured(values, values / 2, np.full(values.shape, 7), BINS)


def same(a, b):
    for name, one, two in zip(a._fields, a, b, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12, err_msg=name)


@settings(deadline=None)
@given(corpora, st.data())
def test_the_parts_of_a_corpus_give_what_the_whole_gives(values, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    total = nothing(N_METRIC, N_ROW)
    for part in np.split(values, cuts):
        total = merge(total, of(part))
    same(total, of(values))


@pytest.mark.filterwarnings("ignore:(Mean of empty|Degrees of freedom|All-NaN)")
@settings(deadline=None)
@given(corpora)
def test_moments_are_numpys(values):
    found = of(values)
    known = ~np.isnan(values)
    some = known.any(0)
    np.testing.assert_array_equal(found.texts, known.sum(0))
    np.testing.assert_array_equal(found.rows, 7 * known.sum(0))
    for mine, right in (
        (found.mean, np.nanmean(values, 0)),
        (found.null, np.nanmean(values, 0) / 2),
        (found.least, np.nanmin(values, 0)),
        (found.most, np.nanmax(values, 0)),
    ):
        np.testing.assert_allclose(mine[some], right[some], atol=1e-14)
    many = known.sum(0) > 1
    np.testing.assert_allclose(
        found.deviation[many], np.nanstd(values, 0, ddof=1)[many], atol=1e-14
    )
    assert np.isnan(found.deviation[~many]).all()


@settings(deadline=None)
@given(corpora)
def test_quantiles_lie_in_the_bin_of_the_right_one(values):
    found = quantiles(of(values), BINS, LEVELS)
    assert found.shape == (N_METRIC, N_ROW, len(LEVELS))
    for metric, bins in enumerate(BINS):
        widest = np.diff(bins.edges).max()
        for row in range(N_ROW):
            known = values[:, metric, row]
            known = known[~np.isnan(known)]
            if not known.size:
                assert np.isnan(found[metric, row]).all()
                continue
            right = np.quantile(known, LEVELS, method="inverted_cdf")
            slack = max(widest, bins.low) + 1e-12  # what lies below the lowest bin counts in it
            assert np.abs(found[metric, row] - right).max() <= slack
            assert (np.diff(found[metric, row]) >= 0).all()
            assert (
                known.min() <= found[metric, row].min() <= found[metric, row].max() <= known.max()
            )


def test_a_small_deviation_beside_a_large_mean_is_not_lost(generator):
    values = 1e6 + 1e-4 * generator.standard_normal((101, 1, 1))
    total = nothing(1, 1)
    for part in np.split(values, [10, 50]):
        total = merge(total, measured(part, part, np.ones(part.shape), [SHARES]))
    np.testing.assert_allclose(total.deviation[0, 0], values.std(ddof=1), rtol=1e-6)


def test_quantiles_of_many_values(generator):
    values = generator.beta(2, 5, (20011, 1, 1))
    found = quantiles(measured(values, values, values, [SHARES]), [SHARES], LEVELS)[0, 0]
    np.testing.assert_allclose(found, np.quantile(values, LEVELS), atol=1 / N_BIN)


def test_every_metric_with_a_unit_has_bins_of_its_own():
    for name in METRICS:
        assert (bins_of(name, 61) == SHARES) == (name not in UNITS), name
        edges = bins_of(name, 61).edges
        assert len(edges) == N_BIN + 1
        assert (np.diff(edges) > 0).all()
