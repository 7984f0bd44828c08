"""Where a dump is off."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.survey import blocks, survey, thinned
from attnviz.analysis.diagnose.where import orders, ranges, where

N_BATCH, N_HEAD, N_Q, N_K, D = 2, 3, 11, 13, 5


def wanted():
    rng = np.random.default_rng(0)
    q = rng.normal(size=(N_BATCH, N_HEAD, N_Q, D))
    k, v = rng.normal(size=(2, N_BATCH, N_HEAD, N_K, D))
    return computation(q, k, v)


def surveyed(change, *stages):
    """Of a dump that `change` has altered in place: stage -> array."""
    c = wanted()
    right = compute(c)._asdict()
    given = {name: right[name].astype(np.float32) for name in stages or ("context",)}
    change(given)
    case = Case(c, given, "float32")
    return survey(Judge(case, np.arange(N_Q), "float32"), c)


def test_nothing_is_off():
    found = surveyed(lambda given: None)
    place = where(found)
    assert not place.off.any()
    assert (place.items, place.heads, place.queries, place.keys) == ((), (), (), None)
    assert (place.n_broken, place.first_stage) == (0, "")
    assert found.rms < found.noise_rms * 3


def test_one_item_one_head_two_queries():
    def change(given):
        given["context"][1, 2, [4, 9]] += 0.25

    found = surveyed(change)
    place = where(found)
    assert (place.items, place.heads, place.queries) == ((1,), (2,), (4, 9))
    assert place.first_stage == "context"
    assert found.largest == pytest.approx(0.25, abs=1e-6)
    assert found.at[:2] == (1, 2)
    assert found.at[2] in (4, 9)
    assert orders(found)[1, 2, 4] == pytest.approx(np.log10(0.25 / found.noise[4]), abs=0.4)
    assert orders(found)[0].max() < 0.5


def test_the_first_stage_and_its_keys():
    def change(given):
        given["weights"][:, 1, :, 7] += 0.01
        given["context"] += 0.01

    place = where(surveyed(change, "scores", "weights", "context"))
    assert place.first_stage == "weights"
    assert place.keys == (7,)
    assert place.heads == (0, 1, 2)  # of the last stage, the output


def test_numbers_that_are_none():
    def change(given):
        given["context"][0, 1, 3, :2] = np.nan

    found = surveyed(change)
    place = where(found)
    assert place.n_broken == 2
    assert (place.items, place.heads, place.queries) == ((0,), (1,), (3,))
    assert np.isnan(orders(found)[0, 1, 3])


@pytest.mark.parametrize("scores", ["raw", "scores"])
def test_scores_may_be_those_before_the_scale(scores):
    c = wanted()
    given = {"scores": getattr(compute(c), scores).astype(np.float32)}
    found = survey(Judge(Case(c, given, "float32"), np.arange(N_Q), "float32"), c)
    assert where(found).first_stage == ""


def test_all_queries_are_looked_at_in_pieces():
    case = Case(wanted(), {}, "float32")
    np.testing.assert_array_equal(np.concatenate(list(blocks(case))), np.arange(N_Q))
    assert thinned(case) == 1


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), ""), ((3,), "3"), ((0, 1), "0-1"), ((0, 1, 2, 5, 7, 8), "0-2, 5, 7-8")],
)
def test_ranges(numbers, text):
    assert ranges(numbers) == text
