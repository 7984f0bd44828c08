"""Five mistakes, and what names them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.lessons import mistakes
from attnviz.views.kinds import Heatmap, Table


def rows(lesson):
    (table,) = (view for view in lesson.views if isinstance(view, Table))
    return {row[0]: row[1:] for row in table.rows}


@settings(max_examples=4, deadline=None)
@given(n=st.integers(4, 10), data=st.data(), seed=st.integers(0, 99))
def test_the_claims_hold_for_other_sizes(take, n, data, seed):
    queries = data.draw(st.integers(2, n))
    lesson = take("mistakes", text=" ".join("abcdefghij"[:n]), queries=queries, seed=seed)
    assert [claim.holds for claim in lesson.claims] == [True] * 3


def test_the_weights_are_those_of_the_formulas(take):
    panels = [view for view in take("mistakes").views if isinstance(view, Heatmap)]
    right, corner, wide, zero, none, dropped = (panel.values for panel in panels)
    n_q, n_k = right.shape
    visible = np.tri(n_q, n_k, n_k - n_q, dtype=bool)
    assert ((right > 0) == visible).all()
    assert ((corner > 0) == np.tri(n_q, n_k, dtype=bool)).all()
    scores = np.log(none)  # without a mask all scores are there, up to a constant of each row

    def softmax(x):
        powers = np.exp(x - x.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    np.testing.assert_allclose(right, softmax(np.where(visible, scores, -np.inf)), atol=1e-12)
    half = np.where(visible, scores / 2, -np.inf)  # √(4 heads · 6) = 2 √6
    np.testing.assert_allclose(wide, softmax(half), atol=1e-12)
    ratio = zero[visible & (right > 0)] / right[visible]
    assert (ratio[:-n_k] < 1).all()  # the last query may see every key
    assert (zero[~visible] > 0).all()
    kept = dropped > 0
    np.testing.assert_allclose(dropped[kept], right[kept] / 0.8)
    assert (visible & ~kept).any()


def test_the_table_names_each(take):
    found = rows(take("mistakes"))
    assert [row[2] for row in found.values()] == ["C3", "S2", "M3", "M6", "D1"]
    assert all(row[1] > 0.01 and row[3] > 0 for row in found.values())


def test_as_many_queries_as_keys_hide_the_corner(take):
    found = rows(take("mistakes", queries=6))
    assert found["causal mask in the wrong corner"][2] == "matches"
    assert found["causal mask in the wrong corner"][1] == 0


def test_one_query_needs_no_mask(take):
    found = rows(take("mistakes", queries=1))
    assert found["mask forgotten"][2] == "matches"
    assert found["causal mask in the wrong corner"][2] == "C3"


def test_a_mistake_that_is_not_named_fails_the_claim(take, monkeypatch):
    real = mistakes.diagnose

    def blind(cases):
        found = real(cases)
        object.__setattr__(found, "causes", ())
        return found

    monkeypatch.setattr(mistakes, "diagnose", blind)
    assert not take("mistakes").claims[0].holds


def test_a_blamed_right_output_fails_the_claim(take, monkeypatch):
    compute = mistakes.compute

    def wrong(c):
        stages = compute(c)
        return stages._replace(context=stages.context * 1.01)

    monkeypatch.setattr(mistakes, "compute", wrong)
    assert not take("mistakes").claims[1].holds


def test_weights_that_do_not_sum_to_1_fail_the_claim(take, monkeypatch):
    compute = mistakes.compute

    def wrong(c):
        stages = compute(c)
        return stages._replace(weights=stages.weights * 0.5)

    monkeypatch.setattr(mistakes, "compute", wrong)
    assert not take("mistakes").claims[2].holds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "a b c"}, "expected 4 to 10 words, got 3"),
        ({"queries": 0}, "expected 1 to 6, got 0"),
        ({"queries": 7}, "expected 1 to 6, got 7"),
    ],
)
def test_what_cannot_be_shown_is_refused(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("mistakes", **options)
