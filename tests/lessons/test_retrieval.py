"""A dictionary that returns a blend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.language import speaking
from attnviz.lessons import retrieval
from attnviz.views.kinds import Heatmap, Table


def answer(lesson):
    """The last column of the table: what the answer holds of each value."""
    (table,) = (view for view in lesson.views if isinstance(view, Table))
    return [row[-1] for row in table.rows]


def test_the_deer_that_is_like_nothing_else(take):
    assert answer(take("retrieval")) == pytest.approx([1 / 3, 1 / 6, 1 / 4, 1 / 4, 0], abs=1e-15)


@given(numbers=st.lists(st.integers(0, 1000), min_size=1, max_size=9).filter(any))
def test_the_readers_own_items(take, numbers):
    lesson = take(
        "retrieval",
        query="what?",
        items=",".join(f"item {i}" for i in range(len(numbers))),
        similarities=",".join(map(str, numbers)),
    )
    assert [claim.holds for claim in lesson.claims] == [True] * 3
    np.testing.assert_allclose(answer(lesson), np.array(numbers) / sum(numbers), atol=1e-12)
    soft = next(view for view in lesson.views if isinstance(view, Heatmap))
    np.testing.assert_allclose(soft.values[0], np.array(numbers) / sum(numbers), atol=1e-12)


def test_a_key_without_similarity_has_no_weight_at_all(take):
    (weights,) = (view for view in take("retrieval").views if isinstance(view, Heatmap))
    assert list(weights.values[:, 4]) == [0, 0]


def test_what_is_to_be_tried_gives_what_is_expected(take):
    shares = answer(take("retrieval", similarities="1,1,8,0,0"))
    assert shares == pytest.approx([0.1, 0.1, 0.8, 0, 0])
    assert answer(take("retrieval", items="elk,ox", similarities="3,1")) == pytest.approx(
        [3 / 4, 1 / 4]
    )


def test_chinese_readers_have_chinese_animals(take):
    def names(**options):
        (table,) = (view for view in take("retrieval", **options).views if isinstance(view, Table))
        return [row[0] for row in table.rows]

    with speaking("zh"):
        assert names() == ["鹿", "牛", "羊", "驴", "蛙"]
        assert names(items="elk,ox", similarities="3,1") == ["elk", "ox"]
    assert names() == retrieval.ITEMS.split(",")


@pytest.mark.parametrize(
    ("similarities", "message"),
    [
        ("4,2,3,3", "expected 5 numbers"),
        ("4,2,3,3,deer", "expected 5 numbers"),
        ("4,2,3,3,-1", "expected 5 numbers"),
        ("4,2,3,3,nan", "expected 5 numbers"),
        ("0,0,0,0,0", "all are 0"),
    ],
)
def test_what_is_no_similarity(take, similarities, message):
    with pytest.raises(AttnvizError, match=message):
        take("retrieval", similarities=similarities)


def test_the_claims_fail_if_attention_is_wrong(take, monkeypatch):
    right = retrieval.attend

    def wrong(*args, **kwargs):
        done = right(*args, **kwargs)
        return done._replace(weights=done.weights * 1.01, context=done.context[..., ::-1])

    monkeypatch.setattr(retrieval, "attend", wrong)
    assert [claim.holds for claim in take("retrieval").claims] == [False] * 3
