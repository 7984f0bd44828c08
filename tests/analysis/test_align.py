"""Alignments against a recursion that tries everything."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.analysis.align import Alignment, Step, align, by_place

texts = st.lists(st.sampled_from("abc"), max_size=7)
words = st.lists(st.sampled_from(["the", "cat", "saw", "a", "dog"]), max_size=30)


def longest(a: list[str], b: list[str]) -> tuple[int, int]:
    """(shared, replaced) of the best alignment: by the definition, over all choices."""

    @cache
    def best(i: int, j: int) -> tuple[int, int]:
        if i == len(a) or j == len(b):
            return 0, 0
        shared, replaced = best(i + 1, j + 1)
        same = a[i] == b[j]
        diagonal = (shared + same, replaced + (not same))
        return max(diagonal, best(i + 1, j), best(i, j + 1))

    return best(0, 0)


def counts(alignment: Alignment) -> tuple[int, int]:
    kinds = [step.kind for step in alignment.steps()]
    return kinds.count("same"), kinds.count("replaced")


@given(texts, texts)
def test_no_other_alignment_is_longer(a, b):
    assert counts(align(a, b)) == longest(a, b)


@given(words, words)
def test_shared_tokens_are_equal_and_in_order(a, b):
    found = align(a, b)
    assert [a[i] for i in found.a] == [b[j] for j in found.b]
    for places in (found.a, found.b):
        assert list(places) == sorted(set(places))


@given(words, words, words)
def test_what_both_begin_with_stays_together(same, a, b):
    """What a causal model has read before the texts part is the same in both."""
    n = len(same)
    found = align(same + a, same + b)
    assert found.a[:n] == found.b[:n] == tuple(range(n))


def test_a_text_that_goes_on():
    assert align(list("ab"), list("abab"))[:2] == ((0, 1), (0, 1))


@given(words, words)
def test_turned_round(a, b):
    there, back = align(a, b), align(b, a)
    assert (there.a, there.b) == (back.b, back.a)


@given(words, words)
def test_steps_pass_every_token_of_both_once(a, b):
    steps = list(align(a, b).steps())
    assert [step.a for step in steps if step.a is not None] == list(range(len(a)))
    assert [step.b for step in steps if step.b is not None] == list(range(len(b)))
    for step in steps:
        both = step.a is not None and step.b is not None
        assert both == (step.kind in ("same", "replaced"))
        if both:
            assert (a[step.a] == b[step.b]) == (step.kind == "same")


@given(words)
def test_a_text_with_itself(a):
    assert align(a, a) == by_place(len(a))
    assert align(a, a).whole


@given(words, st.integers(0, 30))
def test_one_more_token(a, place):
    longer = [*a[:place], "new", *a[place:]]
    rest = [i for i, token in enumerate(longer) if token != "new"]
    inserted = align(a, longer)
    assert (list(inserted.a), list(inserted.b)) == (list(range(len(a))), rest)
    deleted = align(longer, a)
    assert (list(deleted.a), list(deleted.b)) == (rest, list(range(len(a))))
    assert not inserted.whole


def test_a_replaced_token_keeps_the_others_at_their_places():
    """`x` could also be aligned with the last one, with nothing to replace the others by."""
    assert align(list("xyx"), list("xzz")).a == (0,)
    steps = list(align(["I", "saw", "a", "saw"], ["I", "saw", "a", "big", "cat"]).steps())
    assert steps[3:] == [Step("replaced", 3, 3), Step("only_b", None, 4)]


@pytest.mark.parametrize(("a", "b"), [("", ""), ("", "ab"), ("ab", ""), ("ab", "cd")])
def test_nothing_in_common(a, b):
    found = align(list(a), list(b))
    assert found.a == found.b == ()
    assert found.whole == (a == b)
