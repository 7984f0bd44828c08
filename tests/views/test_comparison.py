"""What the views of a comparison show, against the variants that they are of."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.comparison import Sharpness, compare
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.comparison import comparison_views, sharpness_views
from attnviz.views.kinds import Curves, Heatmap, Table


@pytest.fixture
def compared(saw):
    """Views of head 2 and what they are of."""
    record = saw["encoder.0.self"]

    def make(names, with_scores):
        variants = compare(record, names).variants
        return comparison_views(saw, record, 2, variants, with_scores), variants

    return make


def heatmaps(views):
    return {view.title: view for view in views if isinstance(view, Heatmap)}


def test_scores_weights_and_differences_of_one_head(compared):
    views, (first, second) = compared(["dot", "scaled_dot"], True)
    drawn = heatmaps(views)
    assert list(drawn) == [
        "dot · scores", "dot · weights", "scaled_dot · scores", "scaled_dot · weights",
        "scaled_dot - dot · weights",
    ]  # fmt: skip
    np.testing.assert_array_equal(drawn["dot · scores"].values, first.scores[2])
    np.testing.assert_array_equal(drawn["scaled_dot · weights"].values, second.weights[2])
    difference = drawn["scaled_dot - dot · weights"]
    np.testing.assert_array_equal(difference.values, second.weights[2] - first.weights[2])
    largest = np.abs(difference.values).max()
    assert (difference.scale.low, difference.scale.high) == pytest.approx((-largest, largest))
    assert drawn["dot · scores"].scale == drawn["scaled_dot · scores"].scale


def test_only_what_both_masks_hide_is_masked_in_their_difference(compared):
    views, (causal, window) = compared(["causal", "window:size=1"], False)
    drawn = heatmaps(views)
    assert list(drawn)[:2] == ["causal · weights", "window:size=1 · weights"]
    difference = drawn["window:size=1 - causal · weights"]
    hidden = ~causal.mask & ~window.mask
    np.testing.assert_array_equal(np.asarray(difference.masked) > 0, hidden)
    assert difference.notes == ("masked: hidden by both",)
    np.testing.assert_array_equal(drawn["causal · weights"].masked > 0, ~causal.mask)


def test_the_table_has_a_row_for_each_and_changes_from_the_first(compared):
    views, variants = compared(["causal", "none"], False)
    (table,) = (view for view in views if isinstance(view, Table))
    n = variants[0].weights.shape[-1]
    assert [row[:2] for row in table.rows] == [
        ("causal", f"{n * (n + 1) // 2}/{n * n}"),
        ("none", f"{n * n}/{n * n}"),
    ]
    change = np.abs(variants[1].weights - variants[0].weights).max()
    assert change > (variants[1].weights - variants[0].weights).max()  # the largest one is negative
    assert [row[-1] for row in table.rows] == [0, pytest.approx(change)]
    assert [row[2] for row in table.rows] == [variant.entropy for variant in variants]


def test_curves_follow_the_width_whatever_the_order():
    measured = [Sharpness(score, d_k, 1.0, 0.5, d_k / (10 if score == "dot" else 20))
                for d_k in (64, 4, 16) for score in ("dot", "cosine")]  # fmt: skip
    table, curves = sharpness_views(measured)
    assert isinstance(curves, Curves)
    assert curves.x.tolist() == [4, 16, 64]
    assert {name: y.tolist() for name, y in curves.series} == {
        "dot": [0.4, 1.6, 6.4],
        "cosine": [0.2, 0.8, 3.2],
    }
    assert table.rows[0] == ("dot", 64, 1.0, 0.5, 6.4)
    assert len(sharpness_views(measured[:2])) == 1  # a single width is no curve


def test_the_score_of_a_variant_stands_beside_its_weights(compared):
    views, _ = compared(["dot", "scaled_dot"], True)
    for width in (80, 120):
        lines = render(views, Screen(width)).decode().splitlines()
        for name in ("dot", "scaled_dot"):
            assert any(f"{name} · scores" in line and f"{name} · weights" in line for line in lines)


def test_untrained_arrays_are_called_so(compared):
    (_, text, *_), _ = compared(["additive", "dot", "general"], True)
    assert [line.text for line in text.lines[1:]] == [
        "additive: W_q, W_k, w_v untrained (random weights, seed 0)",
        "general: W untrained (random weights, seed 0)",
    ]
