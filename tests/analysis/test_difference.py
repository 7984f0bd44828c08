"""Differences of heads against loops over their cells."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import attnviz
from attnviz.analysis.difference import BOTH, IN_A, IN_B, LACKS, compare, matrix
from attnviz.analysis.pairing import pair_by_place
from attnviz.errors import AttnvizError
from attnviz.trace.selection import Selection
from attnviz.views.difference import difference_views
from tests.analysis.plain_trace import trace_of

N_HEAD, N_TOKEN = 2, 5
TOKENS = list("abcde")

numbers = st.floats(0, 1, width=32)
any_weights = arrays(np.float32, (N_HEAD, N_TOKEN, N_TOKEN), elements=numbers)


def normalised(array):
    """Rows that sum to 1, or to 0; what is not 0 stays so."""
    total = array.sum(-1, keepdims=True, dtype=np.float64)
    return np.where(total > 0.01, array / np.where(total > 0.01, total, 1), 0).astype(np.float32)


weights = st.one_of(any_weights, any_weights.map(normalised))
masks = arrays(np.bool_, (N_TOKEN, N_TOKEN))
texts = st.permutations(TOKENS)


def differences(a, b, stage="weights"):
    return compare(a, b, pair_by_place(a, b, Selection()), stage)


def sums_to_one(array):
    """Whether every row does, within what half precision rounds, or is zero."""
    return all(sum(row) == 0 or abs(sum(row) - 1) <= 0.01 for row in array.astype(float).tolist())


def masked(array, mask):
    return np.where(mask, array, 0).astype(array.dtype)


@given(weights, weights, masks, masks, texts, st.booleans())
def test_against_loops(x, y, mask_x, mask_y, tokens, distributions):
    x, y = masked(x, mask_x), masked(y, mask_y)
    if distributions:
        x, y = normalised(x), normalised(y)
    found = differences(trace_of(x, TOKENS, mask_x), trace_of(y, tokens, mask_y))
    shared = found.alignments["source", "source"]
    pairs = list(zip(shared.a, shared.b, strict=True))
    assert [TOKENS[i] for i in shared.a] == [tokens[j] for j in shared.b]
    for number, head in enumerate(found.heads):
        gaps, once, halves = [], 0, 0.0
        for i, j in pairs:
            for k, m in pairs:
                p, q = float(x[number, i, k]), float(y[number, j, m])
                hidden = (not mask_x[i, k] and p == 0, not mask_y[j, m] and q == 0)
                once += hidden[0] != hidden[1]
                if not all(hidden):
                    gaps.append(abs(q - p))
                halves += abs(q - p) / 2
        assert head.n_cell == len(gaps)
        assert head.largest == max(gaps, default=0)
        assert head.rms == pytest.approx(math.sqrt(sum(g * g for g in gaps) / max(1, len(gaps))))
        assert head.hidden_once == once
        if head.n_cell and all(map(sums_to_one, (x[number], y[number]))):
            assert head.variation == pytest.approx(halves / len(pairs))
        else:
            assert not distributions or not head.n_cell
            assert (head.variation, head.divergence) == (None, None)
        if head.at is not None:
            assert abs(head.at.b - head.at.a) == head.largest
            assert head.at.a == x[number, head.at.query[0], head.at.key[0]]
            assert head.at.b == y[number, head.at.query[1], head.at.key[1]]


@given(weights, weights, masks, masks, texts)
def test_turned_round_only_the_sign_changes(x, y, mask_x, mask_y, tokens):
    a = trace_of(masked(x, mask_x), TOKENS, mask_x)
    b = trace_of(masked(y, mask_y), tokens, mask_y)
    there, back = differences(a, b), differences(b, a)
    for one, other in zip(there.heads, back.heads, strict=True):
        same = ("n_cell", "largest", "rms", "variation", "hidden_once", "divergence")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]
    shared = there.alignments["source", "source"]
    for head in there.heads:
        forth = matrix(a, b, there, head.pair).values[np.ix_(shared.a, shared.a)]
        again = matrix(b, a, back, head.pair).values[np.ix_(shared.b, shared.b)]
        np.testing.assert_array_equal(forth, -again)


@given(weights, masks)
def test_the_same_twice_is_exactly_zero(x, mask):
    a = trace_of(masked(x, mask), TOKENS, mask)
    found = differences(a, replace(a))
    for head in found.heads:
        assert (head.largest, head.rms, head.hidden_once, head.at) == (0, 0, 0, None)
        assert (head.variation, head.divergence) in ((0, 0), (None, None))


def test_the_cell_and_its_numbers_by_hand():
    x = np.array([[[1.0, 0.0], [0.25, 0.75]]])
    y = np.array([[[1.0, 0.0], [0.75, 0.25]]])
    (head,) = differences(trace_of(x, list("ab")), trace_of(y, list("ab"))).heads
    assert head.at == ((1, 1), (0, 0), 0.25, 0.75)
    assert (head.largest, head.variation) == (0.5, 0.25)
    assert head.rms == math.sqrt((0.25 + 0.25) / 4)
    one = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert head.divergence == pytest.approx(one / 2)


def test_an_inserted_token_moves_the_places():
    x, y = np.arange(9.0).reshape(1, 3, 3), np.arange(16.0).reshape(1, 4, 4)
    a, b = trace_of(x, list("abc")), trace_of(y, list("abxc"))
    found = differences(a, b)
    (head,) = found.heads
    assert head.n_cell == 9
    assert not found.whole
    expected = y[0][np.ix_([0, 1, 3], [0, 1, 3])] - x[0]
    np.testing.assert_array_equal(matrix(a, b, found, head.pair).values, expected)
    back = matrix(b, a, differences(b, a), head.pair)
    assert back.reasons.tolist() == [
        [LACKS if 2 in (i, j) else 0 for j in range(4)] for i in range(4)
    ]


def test_which_side_hides_a_cell():
    ones = np.ones((1, 2, 2))
    left = np.array([[True, False], [False, True]])
    right = np.array([[True, False], [True, False]])
    a = trace_of(masked(ones, left), list("ab"), left)
    b = trace_of(masked(ones, right), list("ab"), right)
    found = differences(a, b)
    assert matrix(a, b, found, found.heads[0].pair).reasons.tolist() == [[0, BOTH], [IN_A, IN_B]]
    assert found.heads[0].hidden_once == 2
    assert found.heads[0].largest == 1


def test_a_file_without_a_mask_has_the_others_but_not_its_numbers():
    mask = np.tri(3, dtype=bool)
    x = masked(np.full((1, 3, 3), 0.5), mask)
    y = x.copy()
    a = trace_of(x, list("abc"), mask)
    assert differences(a, trace_of(y, list("abc"))).heads[0].hidden_once == 0
    y[0, 0, 2] = 0.1
    (head,) = differences(a, trace_of(y, list("abc"))).heads
    assert (head.largest, head.hidden_once, head.at.key) == (0.1, 1, (2, 2))


def test_logits_that_are_hidden_are_no_numbers():
    x = np.array([[[1.0, -np.inf, -np.inf, np.inf]] * 4])
    y = np.array([[[1.5, -np.inf, 7.0, np.inf]] * 4])
    a, b = (trace_of(each, list("abcd"), stage="logits") for each in (x, y))
    (head,) = differences(a, b, "logits").heads
    assert (head.n_cell, head.largest, head.hidden_once) == (8, 0.5, 4)
    assert (head.variation, head.divergence) == (None, None)


@pytest.mark.parametrize("stage", ["weights", "scores", "logits"])
@pytest.mark.parametrize("both", [False, True])
def test_nan_is_found_and_no_number(stage, both):
    x = np.full((2, 3, 3), 0.25)
    y = x.copy()
    y[1, 2, 0] = np.nan
    y[1, 2, 1] = np.nan
    y[1, 0, 0] = 0.75
    if both:
        x[1, 2, 0] = np.nan
    a, b = (trace_of(each, list("abc"), stage=stage) for each in (x, y))
    good, bad = differences(a, b, stage).heads
    assert (good.n_broken, good.broken) == (0, None)
    assert (bad.n_broken, bad.n_cell, bad.largest) == (2, 7, 0.5)
    assert (bad.broken.query, bad.broken.key) == ((2, 2), (0, 0))
    assert np.isfinite(bad.rms)
    assert differences(a, b, stage).ranked[0] is not good


def test_infinity_differs_from_numbers_and_not_from_itself():
    x, y = np.full((1, 2, 2), np.inf), np.array([[[np.inf, 1.0], [np.inf, np.inf]]])
    a, b = (trace_of(each, list("ab"), stage="scores") for each in (x, y))
    (head,) = differences(a, b, "scores").heads
    assert (head.largest, head.at.key, head.n_broken) == (np.inf, (1, 1), 0)


@pytest.mark.parametrize("broken", [False, True])
def test_blocks_of_rows_say_what_one_says(monkeypatch, generator, broken):
    x, y = generator.dirichlet(np.ones(13), (2, 1, 13))
    tokens = [f"t{i}" for i in range(13)]
    if broken:
        y[0, 11, 3] = np.nan
    a, b = trace_of(x, tokens), trace_of(y, tokens)
    (whole,) = differences(a, b).heads
    monkeypatch.setattr("attnviz.analysis.difference.BLOCK_CELLS", 40)
    (parts,) = differences(a, b).heads
    assert (parts.at, parts.n_cell) == (whole.at, whole.n_cell)
    assert (parts.broken is None, whole.broken is None) == (not broken, not broken)
    if broken:
        assert parts.broken[:2] == whole.broken[:2]
    names = ["rms"] if broken else ["rms", "variation", "divergence"]
    for name in names:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-12)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 2.0, -0.5, np.finfo(float).max])
def test_what_is_no_distribution_has_no_variation_and_no_divergence(generator, wrong):
    x = generator.dirichlet(np.ones(5), (2, 5))
    y = x.copy()
    y[1, 2, 3] = wrong
    for a, b in ((x, y), (y, x)):
        sound, other = differences(trace_of(a, TOKENS), trace_of(b, TOKENS)).heads
        assert (sound.variation, sound.divergence) == (0, 0)
        assert (other.variation, other.divergence) == (None, None)
        assert other.differs


@pytest.mark.parametrize("size", [1e-300, 1e300, np.finfo(float).max])
def test_rms_of_numbers_whose_squares_overflow_or_vanish(size):
    x = np.array([[[size, 0.0], [size, size]]])
    (head,) = differences(trace_of(0 * x, list("ab")), trace_of(x, list("ab"))).heads
    assert head.rms == pytest.approx(math.sqrt(3 / 4) * size, rel=1e-12)


def test_nothing_but_nan():
    """There is no cell to compare; that is said, and was an IndexError."""
    nan = trace_of(np.full((2, 3, 3), np.nan), list("abc"))
    found = differences(nan, replace(nan))
    assert [head.n_cell for head in found.heads] == [0, 0]
    text, *_ = difference_views(nan, nan, found, ("", ""), 2)[1].lines
    assert text.text == "nothing to compare: no cell is a number on both sides"


def test_nothing_is_written_to():
    a, b = attnviz.run("I saw a saw"), attnviz.run("I saw a cat")
    before = [array.copy() for trace in (a, b) for array in trace.arrays().values()]
    found = differences(a, b)
    matrix(a, b, found, found.heads[0].pair)
    after = [array for trace in (a, b) for array in trace.arrays().values()]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_no_token_in_common():
    a, b = trace_of(np.ones((1, 1, 1)), ["x"]), trace_of(np.ones((1, 1, 1)), ["y"])
    with pytest.raises(AttnvizError, match="no token in common"):
        differences(a, b)
