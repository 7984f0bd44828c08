"""Dropout is read off ratios, and is not seen where something else has made zeros."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.dropout import dropout, refined
from tests.analysis.diagnose import examples


def weights(seed: int = 3, shape: tuple[int, ...] = (2, 3, 11, 13)) -> np.ndarray:
    x = np.exp(np.random.default_rng(seed).normal(size=shape))
    return np.asarray(x / x.sum(-1, keepdims=True))


def kept(rate: float, shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) >= rate


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("dtype", "exact"), [("float64", 1e-12), ("float16", 1e-3)])
def test_rate_from_the_ratio(rate: float, dtype: str, exact: float) -> None:
    w = weights()
    left = kept(rate, w.shape)
    given = (np.where(left, w, 0) / (1 - rate)).astype(dtype).astype(np.float64)
    found = dropout(w, given)
    assert found is not None
    assert found.kind == "left on"
    assert found.rate == pytest.approx(rate, abs=exact)
    assert found.ratio == pytest.approx(1 / (1 - rate), rel=exact)
    assert (found.n_dropped, found.n_kept) == ((~left).sum(), left.sum())
    np.testing.assert_array_equal(found.kept, left)


def test_what_the_ratio_of_pytorch_says() -> None:
    """1.1111, as printed in pytorch#27968, is p = 0.1."""
    w = weights()
    found = dropout(w, np.where(kept(0.1, w.shape), w * 1.1111, 0))
    assert found is not None
    assert found.rate == pytest.approx(0.1, abs=1e-4)


def test_not_rescaled_and_rescaled_only() -> None:
    w = weights()
    left = kept(0.2, w.shape)
    found = dropout(w, np.where(left, w, 0))
    assert found is not None
    assert (found.kind, found.rate) == ("not rescaled", pytest.approx((~left).mean()))
    found = dropout(w, w / 0.8)
    assert found is not None
    assert (found.kind, found.rate) == ("rescaled", pytest.approx(0.2))
    assert found.kept.all()


def test_not_known_cells_and_small_ones_do_not_count() -> None:
    w = weights()
    left = kept(0.3, w.shape)
    given = np.where(left, w / 0.7, 0)
    given[0, :, 3:6] = np.nan
    found = dropout(w, given + 1e-4 * np.random.default_rng(1).normal(size=w.shape), error=1e-4)
    assert found is not None
    assert found.kind == "left on"
    assert found.rate == pytest.approx(0.3, abs=0.01)
    assert found.kept[0, :, 3:6].all()
    assert found.n_dropped < (~left).sum()


def masked(c: float) -> np.ndarray:
    """Causal weights."""
    hidden = np.triu(np.ones((11, 13), bool), 3)
    x = np.where(hidden, 0, weights())
    return np.asarray(x / x.sum(-1, keepdims=True) * c)


NO_DROPOUT = {
    "the same": (weights(), weights()),
    "other weights": (weights(), weights(9)),
    "a mask dropped": (masked(1), weights()),
    "a mask added, not renormalised": (weights(), np.where(masked(1) > 0, weights(), 0)),
    "a mask added": (weights(), masked(1)),
    "a key lost": (weights(), weights() * (np.arange(13) != 4)),
    "a query lost": (weights(), weights() * (np.arange(11) != 4)[:, None]),
    "zeros in the same cells of every head": (weights(), weights() * kept(0.1, (11, 13))),
    "zeros by another factor": (weights(), weights() * kept(0.5, (2, 3, 11, 13)) * 1.1),
    "smaller": (weights(), weights() * 0.5),
    "nothing left": (weights(), weights() * 0),
    "too few": (weights()[:, :, :1, :2], weights()[:, :, :1, :2] / 0.9),
}


@pytest.mark.parametrize("what", NO_DROPOUT)
def test_no_dropout(what: str) -> None:
    assert dropout(*NO_DROPOUT[what]) is None


def test_a_softmax_at_another_temperature_is_no_dropout() -> None:
    c = examples.causal()
    wanted = compute(c).weights
    assert dropout(wanted, compute(replace(c, scale=1.0)).weights) is None


def test_outputs_sort_weights_that_cannot_be_told_alone() -> None:
    """A tenth of the decisions is wrong at first; outputs are rounded to float16."""
    rng = np.random.default_rng(2)
    w, v = weights(), rng.normal(size=(2, 3, 13, 17))
    left = kept(0.2, w.shape)
    out = (np.where(left, w, 0) @ v).astype(np.float16).astype(float)
    guess = left ^ (rng.random(left.shape) < 0.1)
    found = refined(guess, w, v, out)
    assert (guess != left).sum() > 50
    assert (found != left)[w > 0.01].mean() < 0.01
    assert (
        np.abs(np.where(found, w, 0) @ v - out).max()
        < np.abs(np.where(guess, w, 0) @ v - out).max()
    )
    np.testing.assert_array_equal(refined(left, w, v, np.where(left, w, 0) @ v), left)
