"""Attention step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.lessons import steps
from attnviz.views.kinds import Heatmap, Table

SENTENCE = st.lists(st.sampled_from(["I", "saw", "a", "wood", "看", "."]), min_size=1, max_size=12)


@settings(max_examples=30)
@given(words=SENTENCE, d_model=st.integers(1, 64), d_k=st.integers(1, 64), seed=st.integers(0, 99))
def test_the_claims_hold_for_any_sentence_and_width(take, words, d_model, d_k, seed):
    lesson = take("steps", text=" ".join(words), d_model=d_model, d_k=d_k, seed=seed)
    assert [claim.holds for claim in lesson.claims] == [True] * 3
    weights, output = (view for view in lesson.views if isinstance(view, Heatmap))
    assert weights.values.shape == (len(words), len(words))
    assert output.values.shape == (len(words), d_model)


def test_the_row_by_hand_is_the_last_row_of_the_picture(take):
    lesson = take("steps", text="we saw seven big dogs", d_model=11, d_k=3)
    _, table = (view for view in lesson.views if isinstance(view, Table))
    columns = np.array([row[1:] for row in table.rows], float).T
    products, scores, powers, weights, values, parts = columns
    np.testing.assert_allclose(scores, products / np.sqrt(3))
    np.testing.assert_allclose(powers, np.exp(scores))
    np.testing.assert_allclose(weights, powers / powers.sum())
    np.testing.assert_allclose(parts, weights * values)
    drawn = next(view for view in lesson.views if isinstance(view, Heatmap))
    np.testing.assert_allclose(weights, drawn.values[-1])
    assert f"{powers.sum():.4f}" in table.notes[0]
    assert f"{parts.sum():.4f}" in table.notes[1]


def test_the_shapes(take):
    table = next(view for view in take("steps").views if isinstance(view, Table))
    shapes = [row[-1] for row in table.rows]
    wide, narrow, square = "[4, 8]", "[4, 3]", "[4, 4]"
    assert shapes == [wide, narrow, narrow, narrow, square, square, square, narrow, wide]


def test_a_repeated_word_is_pointed_out(take):
    def notes(text):
        return next(v for v in take("steps", text=text).views if isinstance(v, Heatmap)).notes

    assert "same row twice" in notes("I saw a saw")[1]
    assert len(notes("I saw a dog")) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ""}, "text: expected 1 to 12 words, got 0"),
        ({"text": "a " * 13}, "text: expected 1 to 12 words, got 13"),
        ({"d_model": 0}, "d_model: expected 1 to 64, got 0"),
        ({"d_k": 65}, "d_k: expected 1 to 64, got 65"),
    ],
)
def test_what_cannot_be_shown(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("steps", **options)


def test_the_claims_fail_if_attention_is_wrong(take, monkeypatch):
    right = steps.attend

    def wrong(q, k, v):
        return right(q, k, v)._replace(weights=right(q, k, v).weights.mT, context=v)

    monkeypatch.setattr(steps, "attend", wrong)
    assert [claim.holds for claim in take("steps").claims] == [False, True, False]


def test_the_claims_fail_if_a_projection_is_wrong(take, monkeypatch):
    monkeypatch.setattr(steps, "linear", lambda x, weight: x[:, :3])
    assert [claim.holds for claim in take("steps").claims] == [True, False, False]


def test_another_order_moves_the_rows_and_nothing_else(take):
    def output(text):
        return [view for view in take("steps", text=text).views if isinstance(view, Heatmap)][
            -1
        ].values

    np.testing.assert_allclose(
        output("a saw I saw"), output("I saw a saw")[[2, 1, 0, 3]], atol=1e-12
    )
