"""Which key a query may see, and how a key is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.language import speaking
from attnviz.lessons import masks
from attnviz.nn.masks import hatch_of
from attnviz.nn.softmax import softmax
from attnviz.views.kinds import Grid, Table


def one(lesson, kind):
    (view,) = (view for view in lesson.views if isinstance(view, kind))
    return view


@settings(max_examples=40, deadline=None)
@given(data=st.data(), n=st.integers(2, 12), seed=st.integers(0, 99))
def test_the_claims_hold_for_other_texts_and_sizes(take, data, n, seed):
    words = data.draw(st.lists(st.sampled_from(["I", "saw", "a", "木"]), min_size=n, max_size=n))
    sizes = {
        "length": data.draw(st.integers(1, n - 1)),
        "window": data.draw(st.integers(1, n)),
        "prefix": data.draw(st.integers(1, n)),
    }
    lesson = take("masks", text=" ".join(words), seed=seed, **sizes)
    assert [claim.holds for claim in lesson.claims] == [True] * 4


def test_the_panels(take):
    text = "one two three four five"
    grid = one(take("masks", text=text, length=3, window=2, prefix=2), Grid)
    padding, causal, window, prefix = ((panel.masked == 0).astype(int) for panel in grid.present())
    np.testing.assert_array_equal(padding, [[1, 1, 1, 0, 0]] * 5)
    np.testing.assert_array_equal(causal, np.tri(5, dtype=int))
    np.testing.assert_array_equal(window, np.tri(5, k=1, dtype=int) - np.tri(5, k=-2, dtype=int))
    np.testing.assert_array_equal(prefix[:, :2], 1)
    np.testing.assert_array_equal(prefix[:, 2:], np.tri(5, dtype=int)[:, 2:])
    for panel in grid.present():
        assert ((panel.values == 0) == (panel.masked == 1)).all()
        np.testing.assert_allclose(panel.values.sum(-1), 1)


def test_every_panel_names_its_rule(take):
    grid = one(take("masks"), Grid)
    assert [list(panel.masked_by()) for panel in grid.present()] == [
        [name] for name in grid.column_names
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_four_patterns_are_distinct_in_every_language(take, language):
    with speaking(language):
        panels = one(take("masks"), Grid).present()
    drawn = [hatch for panel in panels for hatch in panel.masked_by().values()]
    assert drawn == [hatch_of(name) for name in ("padding", "causal", "window", "prefix")]
    assert len(set(drawn)) == 4


def test_what_is_to_be_tried_gives_what_is_expected(take):
    panel = one(take("masks", window=1), Grid).present()[2]
    np.testing.assert_array_equal(panel.values, np.eye(4))


def test_the_leaks(take):
    by_fill, by_score, by_weight, by_share = one(take("masks"), Table).rows[1:]
    true = one(take("masks"), Table).rows[0]
    assert true[1:] == (0, 0, 0, 0)
    assert (by_fill[1], by_fill[3], by_fill[4]) == (0, 0, pytest.approx(1))
    assert by_fill[2] > 0.1  # scores below -1e9 lose against it
    assert min(by_score[1:]) > 0.1
    assert min(by_weight[1:4]) > 0.1
    assert by_share[1] < 1e-12  # right, as long as no hidden score is far above the others
    assert by_share[3] > 0.1


def test_a_fill_below_the_scores_takes_all_the_weight():
    scores = np.array([[-2e9, -2e9 + 1, 0.0]])
    visible = np.array([[True, True, False]])
    np.testing.assert_array_equal(masks._filled(scores, visible), [[0, 0, 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "one"}, "text: expected 2 to 12 words, got 1"),
        ({"text": "a " * 13}, "text: expected 2 to 12 words, got 13"),
        ({"length": 4}, "length: expected 1 to 3, got 4"),
        ({"length": 0}, "length: expected 1 to 3, got 0"),
        ({"window": 0}, "window: expected 1 to 4, got 0"),
        ({"prefix": 5}, "prefix: expected 1 to 4, got 5"),
    ],
)
def test_limits(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("masks", **options)


def test_filling_with_a_large_number_fails_the_claims(take, monkeypatch):
    monkeypatch.setattr(masks, "masked_softmax", masks._filled)
    assert [claim.holds for claim in take("masks").claims] == [True, False, False, True]


def test_attention_that_fills_fails_the_claims(take, monkeypatch):
    right = masks.attend

    def wrong(q, k, v, mask):
        weights = softmax(np.where(mask, q @ k.mT, -5.0))
        return right(q, k, v, mask=mask)._replace(weights=weights, context=weights @ v)

    monkeypatch.setattr(masks, "attend", wrong)
    assert [claim.holds for claim in take("masks").claims] == [False, True, True, False]


def test_a_wrong_rule_fails_the_first_claim(take, monkeypatch):
    monkeypatch.setattr(masks.masks, "CAUSAL", masks.masks.parse("band:left=1,right=1"))
    assert [claim.holds for claim in take("masks").claims] == [False, True, True, True]
