"""From the average over kernel regression to attention."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.lessons import pooling
from attnviz.views.kinds import Curves, Heatmap, Table


def one(lesson, kind):
    (view,) = (view for view in lesson.views if isinstance(view, kind))
    return view


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(10, 200),
    width=st.floats(0.1, 10),
    noise=st.floats(0, 10),
    d_k=st.integers(1, 256),
    seed=st.integers(0, 99),
)
def test_the_claims_hold_for_other_points(take, n, width, noise, d_k, seed):
    lesson = take("pooling", n=n, width=width, noise=noise, d_k=d_k, seed=seed)
    assert [claim.holds for claim in lesson.claims] == [True] * 3


def test_the_curves_against_loops(take):
    points = pooling._draw(40, 1.0, 0)
    curves = one(take("pooling", width=0.7), Curves)
    shown = dict(curves.series)
    kernels = {
        "truth": lambda u: math.nan,
        "average": lambda u: 1.0,
        "boxcar": lambda u: float(abs(u) <= 1),
        "triangle": lambda u: max(0.0, 1 - abs(u)),
        "Gaussian": lambda u: math.exp(-u * u / 2),
    }
    assert list(shown) == list(kernels)
    np.testing.assert_allclose(shown["truth"], [2 * math.sin(x) + x for x in curves.x])
    for name in list(kernels)[1:]:
        for x, answer in zip(curves.x, shown[name], strict=True):
            shares = [kernels[name]((x - key) / 0.7) for key in points.keys]
            mixed = sum(s * y for s, y in zip(shares, points.values, strict=True))
            assert answer == pytest.approx(mixed / sum(shares))


def test_places_are_spread_evenly():
    keys = pooling._draw(20_000, 1.0, 3).keys
    assert (np.diff(keys) >= 0).all()
    counts, _ = np.histogram(keys, bins=10, range=(0, 5))
    assert counts.sum() == 20_000
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9  # χ², 9 degrees of freedom, 0.1 %


def test_errors_and_what_has_no_answer(take):
    lesson = take("pooling", n=10, width=0.3)
    table, curves = one(lesson, Table), one(lesson, Curves)
    assert table.columns[1:] == ("0.1", "0.2", "0.3", "0.5", "1")
    truth = dict(curves.series)["truth"]
    for name, *errors in table.rows:
        squares = [(a - t) ** 2 for a, t in zip(dict(curves.series)[name], truth, strict=True)]
        known = [s for s in squares if not math.isnan(s)]
        assert errors[2] == pytest.approx(math.sqrt(sum(known) / len(known)))
    missing = int(np.isnan(dict(curves.series)["boxcar"]).sum())
    assert missing
    assert any(
        note.startswith(f"boxcar, width 0.3: no key in reach of {missing} of 50")
        for note in table.notes
    )
    assert not any(note.startswith(("Gaussian", "average")) for note in table.notes)


def test_the_shares_of_a_row_add_up(take):
    np.testing.assert_allclose(one(take("pooling"), Heatmap).values.sum(-1), 1)


@pytest.mark.parametrize(
    ("option", "value"),
    [("n", 9), ("n", 201), ("width", 0.01), ("width", math.nan), ("noise", -1), ("d_k", 0)],
)
def test_limits(take, option, value):
    with pytest.raises(AttnvizError, match=f"{option}: expected"):
        take("pooling", **{option: value})


def test_the_claims_fail_if_the_score_is_wrong(take, monkeypatch):
    right = pooling.gaussian_score
    monkeypatch.setattr(pooling, "gaussian_score", lambda q, k, sigma: right(q, k, sigma=2 * sigma))
    assert [claim.holds for claim in take("pooling").claims] == [False, False, True]


def test_the_claims_fail_if_the_kernels_are_wrong(take, monkeypatch):
    right = pooling.regression_weights

    def wrong(kernel, q, k, width):
        return right(kernel, q + 0.1, k, width) * (1 + k / 10)

    monkeypatch.setattr(pooling, "regression_weights", wrong)
    assert [claim.holds for claim in take("pooling").claims] == [False, True, False]


def test_what_is_to_be_tried_gives_what_is_expected(take):
    def series(width):
        return dict(one(take("pooling", width=width), Curves).series)

    narrow, middle, wide = series(0.1), series(0.5), series(10)
    for name in ("boxcar", "triangle"):
        assert np.isnan(narrow[name]).any()
    for name in ("boxcar", "triangle", "Gaussian"):
        steps = [np.nanmean(np.abs(np.diff(curves[name], 2))) for curves in (narrow, middle)]
        assert steps[0] > 1.5 * steps[1], "follows the noise"
        np.testing.assert_allclose(wide[name], wide["average"], atol=0.5)
        assert np.abs(middle[name] - middle["average"]).max() > 1
