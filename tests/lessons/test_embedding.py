"""Words as vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.lessons import embedding
from attnviz.nn import positions
from attnviz.nn.embedding import Embedding
from attnviz.nn.seeded import normal
from attnviz.views.kinds import Heatmap, Table

WORDS = st.lists(st.sampled_from(["I", "saw", "a", "wood", "看", "."]), min_size=1, max_size=9)


@settings(max_examples=15, deadline=None)
@given(words=WORDS, half=st.integers(1, 40), vocabulary=st.integers(2, 99))
def test_the_claims_hold_for_any_text_and_size(take, words, half, vocabulary):
    lesson = take("embedding", text=" ".join(words), width=2 * half, vocabulary=vocabulary)
    assert [claim.holds for claim in lesson.claims] == [True] * 5


def by_hand(ids, width):
    """Rows of the table, and positions, from the seed and the formula."""
    rows = [normal((width,), 0, f"token.{id}").astype(float) / math.sqrt(width) for id in ids]
    where = [
        [
            (math.sin, math.cos)[i % 2](p / 10000 ** ((i - i % 2) / width))
            for i in range(width)
        ]
        for p in range(len(ids))
    ]  # fmt: skip
    return np.array(rows), np.array(where)


def test_lengths_and_cosines_against_the_seed(take):
    lesson = take("embedding", text="we saw seven saw", width=22, vocabulary=101)
    lengths, output = (view for view in lesson.views if isinstance(view, Table))
    words, where = by_hand([row[1] for row in output.rows], 22)
    root = math.sqrt(22)
    columns = (words, root * words, where, root * words + where)
    for i, row in enumerate(lengths.rows):
        expected = [math.sqrt(sum(v * v for v in x[i])) for x in columns]
        assert row[2:] == pytest.approx([*expected, 1])
    shares = [(x**2).sum() / ((x**2).sum() + (where**2).sum()) for x in columns[:2]]
    assert f"{shares[0]:.1%} without √d, {shares[1]:.1%} with it" in lengths.notes[0]
    maps = [view for view in lesson.views if isinstance(view, Heatmap)]
    for heatmap, x in zip(maps, (words + where, root * words + where), strict=True):
        unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
        np.testing.assert_allclose(heatmap.values, unit @ unit.T)


def test_scores_of_all_words_against_the_seed(take):
    lesson = take("embedding", text="we saw", width=10, vocabulary=23)
    output = [view for view in lesson.views if isinstance(view, Table)][1]
    table, _ = by_hand(range(23), 10)
    for _, id, own, best, back in output.rows:
        scores = table @ table[id]
        assert own == pytest.approx(scores[id])
        assert best == pytest.approx(np.delete(scores, id).max())
        assert (back == "itself") == (scores.argmax() == id)


def test_in_a_narrow_model_some_words_come_back_as_others(take):
    words = " ".join(f"word{i}" for i in range(30))
    output = [v for v in take("embedding", text=words, width=4).views if isinstance(v, Table)][1]
    assert {row[-1] for row in output.rows} == {"itself", "another word"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ""}, "no tokens"),
        ({"text": "a " * 33}, "expected 1 to 32 words, got 33"),
        ({"width": 7}, "expected an even number, got 7"),
        ({"width": 514}, "width: expected 2 to 512, got 514"),
        ({"vocabulary": 1}, "vocabulary: expected 2 to 5000, got 1"),
    ],
)
def test_what_cannot_be_shown(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("embedding", **options)


def holds(lesson):
    return [claim.holds for claim in lesson.claims]


def test_a_lost_scale_is_noticed(take, monkeypatch):
    right = Embedding.__call__
    monkeypatch.setattr(
        Embedding, "__call__", lambda self, given: right(self._replace(scale=1.0), given)
    )
    assert holds(take("embedding")) == [False, True, True, True, True]


def test_wrong_positions_are_noticed(take, monkeypatch):
    right = positions.sinusoidal
    monkeypatch.setattr(positions, "sinusoidal", lambda *a, **k: 1.001 * right(*a, **k))
    assert holds(take("embedding")) == [True, False, True, True, True]


def test_an_output_with_a_table_of_its_own_is_noticed(take, monkeypatch):
    right = embedding._model
    monkeypatch.setattr(embedding, "_model", lambda *sizes, tied=False: right(*sizes, tied=False))
    assert holds(take("embedding")) == [True, True, False, False, True]


def test_another_norm_than_l2_is_noticed(take, monkeypatch):
    monkeypatch.setattr(embedding, "_lengths", lambda x: np.abs(x).sum(-1))
    assert holds(take("embedding"))[4] is False


def test_what_to_expect_of_wide_and_of_narrow_vectors(take):
    lengths, _ = (v for v in take("embedding", width=512).views if isinstance(v, Table))
    assert "0.4% without √d, 65.7%" in lengths.notes[0]
    narrow = take("embedding", width=4, vocabulary=5000)
    _, output = (v for v in narrow.views if isinstance(v, Table))
    assert {row[-1] for row in output.rows} == {"another word"}
