"""Statistics of many texts against NumPy's of all values at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.registry import N_BIN, SHARE, Bins
from attnviz.scan.statistics import (
    LEVELS,
    MIN_EXPONENT,
    measured,
    merge,
    nothing,
    quantiles,
)

N_METRIC, N_ROW = 2, 3
SHARES = Bins(*SHARE)
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
    total = nothing(BINS, N_ROW)
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
        (found.minimum, np.nanmin(values, 0)),
        (found.maximum, np.nanmax(values, 0)),
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
    total = nothing([SHARES], 1)
    for part in np.split(values, [10, 50]):
        total = merge(total, measured(part, part, np.ones(part.shape), [SHARES]))
    np.testing.assert_allclose(total.deviation[0, 0], values.std(ddof=1), rtol=1e-6)


def test_quantiles_of_many_values(generator):
    values = generator.beta(2, 5, (20011, 1, 1))
    found = quantiles(measured(values, values, values, [SHARES]), [SHARES], LEVELS)[0, 0]
    np.testing.assert_allclose(found, np.quantile(values, LEVELS), atol=1 / N_BIN)


@pytest.mark.parametrize("name", METRICS)
def test_the_bins_of_every_metric_are_those_of_its_unit(name):
    metric = METRICS[name]
    bins = metric.histogram_bins(61)
    assert (metric.range == SHARE) == (metric.unit == "")
    assert (bins == SHARES) == (metric.range == SHARE)
    assert len(bins.edges) == N_BIN + 1
    assert (np.diff(bins.edges) > 0).all()


def of_data(values):
    return measured(values, values, np.ones(values.shape), [None])


NUMBERS = st.one_of(
    st.sampled_from([np.nan, 0.0, -0.0, 12.0, 12.1, 1e150, -1e-300, 5e-324]),
    st.floats(-1e150, 1e150),
    st.integers(0, 512).map(float),
)


@settings(deadline=None)
@given(arrays(np.float64, st.integers(1, 23).map(lambda n: (n, 1, 1)), elements=NUMBERS), st.data())
def test_bins_that_follow_the_data_are_the_same_however_a_corpus_is_cut(values, data):
    order = data.draw(st.permutations(range(len(values))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    total = nothing([None], 1)
    for part in np.split(values[order], cuts):
        total = merge(total, of_data(part))
    whole = of_data(values)
    np.testing.assert_array_equal(total.histogram, whole.histogram)
    assert whole.histogram.sum() == (~np.isnan(values)).sum()
    known = values[~np.isnan(values)]
    if known.size:
        found = quantiles(whole, [None], LEVELS)[0, 0]
        right = np.quantile(known, LEVELS, method="inverted_cdf")
        half = known.max() / 2 - known.min() / 2
        least = 2.0**MIN_EXPONENT  # no bin is narrower
        allowed = max(half / 32, abs(right / 1e15).max(), least)
        assert (np.abs(found / 2 - right / 2) <= allowed).all()


def test_without_bins_quantiles_are_exact_to_a_sixtyfourth_of_what_was_seen(generator):
    values = 12.1 + 3 * generator.standard_normal((20011, 1, 1))
    found = quantiles(of_data(values), [None], LEVELS)[0, 0]
    np.testing.assert_allclose(found, np.quantile(values, LEVELS), atol=np.ptp(values) / 64)
