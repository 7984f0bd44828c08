"""What a metric knows of itself: its range and the bins of its histogram."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.registry import N_BIN, SHARE, Bins, MetricEntry


def entry(**fields):
    return MetricEntry("name", lambda pattern: pattern.undefined(), **fields)


@pytest.mark.parametrize("geometric", [False, True])
def test_bins_divide_their_range_evenly_or_by_a_factor(geometric):
    edges = Bins(0.5, 8.0, geometric).edges
    assert edges.shape == (N_BIN + 1,)
    assert (edges[0], edges[-1]) == pytest.approx((0.5, 8.0))
    steps = np.diff(np.log(edges) if geometric else edges)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_bins_are_named_or_those_of_a_finite_range_or_follow_the_data():
    named = entry(range=(1, math.inf), bins=lambda n: Bins(1.0, n))
    assert named.histogram_bins(41) == Bins(1.0, 41)
    assert named.histogram_bins(1) == Bins(1.0, 2)  # no bins of no width
    assert entry(range=SHARE).histogram_bins(41) == Bins(0.0, 1.0)
    assert entry(range=(0, math.inf)).histogram_bins(41) is None
    assert entry().histogram_bins(41) is None


def test_what_lies_outside_a_range_by_more_than_rounding():
    values = np.array([-0.01, -1e-4, 0.5, 1.0005, 1.01, np.nan, np.inf])
    assert entry(range=SHARE).outside(values).tolist() == [-0.01, 1.01, np.inf]
    assert entry().outside(values).tolist() == [np.inf]
    large = entry(range=(0, 1000))
    assert large.outside(np.array([1000.9, 1001.1])).tolist() == [1001.1]


def test_a_title_is_the_heading_or_the_name():
    assert (entry(heading="short").title, entry().title) == ("short", "name")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("max_length", [2, 512])
def test_bins_of_every_metric_lie_in_its_range(name, max_length):
    metric = METRICS[name]
    bins = metric.histogram_bins(max_length)
    assert bins is not None
    assert bins.low < bins.high
    assert not metric.outside(bins.edges).size
