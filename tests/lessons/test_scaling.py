"""Why attention divides by √d_k."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import run
from attnviz.errors import AttnvizError
from attnviz.lessons import scaling
from attnviz.nn.softmax import jacobian, softmax
from attnviz.views.kinds import Curves, Heatmap, Table


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


def test_the_variance_of_single_products_grows_as_the_width(take, generator):
    spread, _ = tables(take("scaling", widths=(1, 16, 64)))
    for d_k, plain, share, scaled in spread.rows:
        q, k = generator.normal(size=(2, 20_000, d_k))
        expected = float((q * k).sum(-1).var())
        assert plain == pytest.approx(expected, rel=0.1)
        assert share == pytest.approx(plain / d_k)
        assert scaled == pytest.approx(plain / d_k, rel=1e-5)


def test_the_table_against_plain_sums(take):
    _, sharp = tables(take("scaling", widths=(4, 100), draws=200, seed=3))
    for d_k, largest, _, entropy, _, norm, _ in sharp.rows:
        logits = scaling._logits(d_k, 200, 3)
        assert logits.std() == pytest.approx(math.sqrt(d_k), rel=0.1)
        w = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        s2, s3 = (w**2).sum(-1), (w**3).sum(-1)
        assert largest == pytest.approx(w.max(-1).mean())
        assert entropy == pytest.approx(-(w * np.log(w)).sum(-1).mean())
        assert norm == pytest.approx(np.sqrt(np.maximum(s2 - 2 * s3 + s2**2, 0)).mean(), abs=1e-6)
    assert sharp.rows[0][2::2] == scaling.REFERENCE[4]
    assert sharp.rows[1][2::2] == (None, None, None)


def test_the_temperature_of_a_known_row(take):
    (curves,) = (view for view in take("scaling").views if isinstance(view, Curves))
    _, sharp = tables(take("scaling"))
    at_one = list(curves.x).index(1.0)
    largest, entropy, norm = (float(y[at_one]) for _, y in curves.series)
    assert sharp.rows[0][1::2] == pytest.approx((largest, entropy * math.log(10), norm))


@settings(max_examples=8, deadline=None)
@given(
    widths=st.lists(st.integers(1, 2048), min_size=1, max_size=3, unique=True),
    draws=st.integers(100, 5000),
    seed=st.integers(0, 99),
)
def test_the_claims_hold_for_other_widths(take, widths, draws, seed):
    lesson = take("scaling", widths=tuple(widths), draws=draws, seed=seed)
    assert all(claim.holds for claim in lesson.claims), lesson.claims
    known = any(d_k in scaling.REFERENCE for d_k in widths)
    assert len(lesson.claims) == 4 + known


def test_jacobian_by_loops(generator):
    w = softmax(generator.normal(size=(3, 5)))
    found = jacobian(w)
    for row in range(3):
        for i in range(5):
            for j in range(5):
                expected = w[row, i] * ((i == j) - w[row, j])
                assert found[row, i, j] == pytest.approx(expected)
    np.testing.assert_allclose(found.sum(-1), 0, atol=1e-16)
    assert np.linalg.norm(found, 2, axis=(-2, -1)).max() <= 0.5
    uniform = jacobian(np.full(7, 1 / 7))
    assert np.linalg.norm(uniform) == pytest.approx(math.sqrt(6) / 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (4, 4)}, "widths: expected at most 8 different ones"),
        ({"widths": tuple(range(1, 10))}, "widths: expected at most 8 different ones"),
        ({"widths": (0,)}, "widths: expected 1 to 4096, got 0"),
        ({"draws": 10}, "draws: expected 100 to 20000, got 10"),
    ],
)
def test_limits(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("scaling", **options)


@pytest.mark.parametrize(
    ("part", "wrong", "failing"),
    [
        ("dot", lambda q, k: 1.02 * (q @ k.mT), 0),
        ("scaled_dot", lambda q, k: q @ k.mT / k.shape[-1], 1),
        ("entropy", lambda w: 0.9 * -(w * np.log(w + 1e-300)).sum(-1), 2),
        ("jacobian", lambda w: w[..., None] * w[..., None, :], 3),
    ],
)
def test_a_wrong_part_fails_its_claim(take, monkeypatch, part, wrong, failing):
    monkeypatch.setattr(scaling, part, wrong)
    assert not take("scaling").claims[failing].holds


def test_a_softmax_that_does_not_choose_fails_the_last_claim(take, monkeypatch):
    monkeypatch.setattr(scaling, "softmax", lambda x: softmax(np.clip(x, -3, 3)))
    assert not take("scaling").claims[4].holds


def test_what_is_to_be_tried_gives_what_is_expected(take):
    spread, _ = tables(take("scaling", widths=(4, 4096)))
    assert spread.rows[1][1] == pytest.approx(4096, rel=0.03)
    assert spread.rows[1][3] == pytest.approx(1, rel=0.03)
    cold = run("I saw a saw", temperature=0.1, fingerprint=False)
    usual = run("I saw a saw", fingerprint=False)
    for record, before in zip(cold, usual, strict=True):
        assert record.weights.max(-1).mean() > before.weights.max(-1).mean()


def test_the_pictures_are_softmaxes_of_one_query(take):
    plain, divided = (
        view for view in take("scaling", widths=(3, 50)).views if isinstance(view, Heatmap)
    )
    for row, d_k in enumerate((3, 50)):
        scores = np.log(plain.values[row])
        shifted = (scores - scores.mean()) / math.sqrt(d_k)
        again = np.log(divided.values[row])
        np.testing.assert_allclose(again - again.mean(), shifted, atol=1e-5)
    assert plain.values[1].max() > plain.values[0].max()
