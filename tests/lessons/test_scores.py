"""Scoring functions, and the classic example."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attnviz
from attnviz.errors import AttnvizError
from attnviz.lessons import scores
from attnviz.nn.scores import SCORES
from attnviz.nn.seeded import normal
from attnviz.views.kinds import Heatmap, Table


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


def maps(lesson):
    return [view for view in lesson.views if isinstance(view, Heatmap)]


def test_the_classic_outputs(take):
    _, outputs = tables(take("scores"))
    np.testing.assert_allclose([row[2:] for row in outputs.rows], [[2, 3, 4, 5], [10, 11, 12, 13]])
    weights = maps(take("scores"))[1]
    np.testing.assert_allclose(weights.values[0], [0.5] * 2 + [0] * 8)
    np.testing.assert_allclose(weights.values[1], [1 / 6] * 6 + [0] * 4)
    assert weights.masked.sum(-1).tolist() == [8, 4]


@settings(max_examples=25, deadline=None)
@given(
    d_q=st.integers(1, 64),
    d_k=st.integers(1, 64),
    hidden=st.integers(1, 64),
    lengths=st.lists(st.integers(1, 10), min_size=1, max_size=6).map(tuple),
    seed=st.integers(0, 99),
)
def test_the_claims_hold_for_other_sizes(take, d_q, d_k, hidden, lengths, seed):
    d_k += d_q == d_k
    lesson = take("scores", d_q=d_q, d_k=d_k, hidden=hidden, lengths=lengths, seed=seed)
    assert [claim.holds for claim in lesson.claims] == [True] * 4, lesson.claims
    for _, length, *row in tables(lesson)[1].rows:
        np.testing.assert_allclose(row, np.arange(40).reshape(10, 4)[:length].mean(0))


def test_the_weights_by_loops(take):
    """Every score of the picture from its formula."""
    shown = maps(take("scores", d_q=7, d_k=3, hidden=5))[0]
    q = normal((1, 1, 7), 0, "q").astype(float)[0, 0]
    keys = normal((1, 10, 7), 0, "k").astype(float)[0]

    def learned(name, key, shape):
        return normal(shape, 0, name, key).astype(float) / math.sqrt(shape[-1])

    w_q, w_k, w_v = (learned("additive", f"w_{x}", (5, 7) if x != "v" else (5,)) for x in "qkv")
    w = learned("general", "w", (7, 7))
    formulas = {
        "additive": lambda k: w_v @ np.tanh(w_q @ q + w_k @ k),
        "dot": lambda k: q @ k,
        "scaled_dot": lambda k: q @ k / math.sqrt(7),
        "general": lambda k: q @ w @ k,
        "cosine": lambda k: q @ k / math.sqrt((q @ q) * (k @ k)),
    }
    assert list(shown.rows.labels) == list(formulas)
    for row, formula in zip(shown.values, formulas.values(), strict=True):
        powers = np.exp([formula(k) for k in keys])
        np.testing.assert_allclose(row, powers / powers.sum())


def test_what_takes_two_widths(take):
    formulas, _ = tables(take("scores"))
    assert {row[0]: row[2] for row in formulas.rows} == {
        "additive": "yes", "dot": "no", "scaled_dot": "no", "general": "yes", "cosine": "no",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_q": 5, "d_k": 5}, "expected two different widths, got 5 twice"),
        ({"d_k": 0}, "d_k: expected 1 to 256"),
        ({"lengths": (11,)}, "lengths: expected 1 to 10, got 11"),
        ({"lengths": (0, 2)}, "lengths: expected 1 to 10, got 0"),
        ({"lengths": (1,) * 7}, "lengths: expected 1 to 6 numbers, got 7"),
    ],
)
def test_limits(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("scores", **options)


class WithOne(dict):
    """The scores, one of them another."""

    def __init__(self, name, function):
        super().__init__({**SCORES, name: replace(SCORES[name], function=function)})


def uneven(q, k, scale=None, out=None):
    return np.broadcast_to(np.arange(float(k.shape[-2])), (*q.shape[:-1], k.shape[-2]))


@pytest.mark.parametrize(
    ("name", "wrong", "holds"),
    [
        ("cosine", uneven, [False, False, False, True]),
        ("dot", uneven, [False, False, False, False]),
        ("cosine", SCORES["dot"].function, [True, True, True, False]),
    ],
)
def test_a_wrong_score_fails_its_claims(take, monkeypatch, name, wrong, holds):
    monkeypatch.setattr(scores, "SCORES", WithOne(name, wrong))
    assert [claim.holds for claim in take("scores").claims] == holds


def test_a_mask_that_hides_too_little_fails_the_claims(take, monkeypatch):
    right = scores.padded
    monkeypatch.setattr(scores, "padded", lambda lengths: right(tuple(n + 1 for n in lengths)))
    assert [claim.holds for claim in take("scores").claims] == [False, False, True, True]


def test_learned_arrays_are_those_of_the_score():
    for name in scores.NAMES:
        bound = scores._bound(name, 5, 3, 7, 0)
        assert isinstance(bound, partial)
        assert {key: a.shape for key, a in bound.keywords.items()} == SCORES[name].array_shapes(
            5, 3, 7
        )


def test_what_is_to_be_tried_gives_what_is_expected(take):
    classic = maps(take("scores", lengths=(10, 1)))[1]
    np.testing.assert_allclose(classic.values, [[0.1] * 10, [1] + [0] * 9])
    trace = attnviz.run("I saw a saw", model="tagger", stages=("q", "k"), fingerprint=False)
    record = trace["encoder.0.self"]
    largest = [
        attnviz.attend(record.q, record.k, record.k, score=score).weights.max(-1).mean()
        for score in ("dot", "scaled_dot")
    ]
    assert largest[0] > largest[1] + 0.2
