"""Masks, cell by cell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.nn import masks

N_Q, N_K = 5, 7

RULES = {
    "causal": lambda q, k: k <= q,
    "window:size=3": lambda q, k: abs(q - k) < 3,
    "band:left=2": lambda q, k: q - k <= 2,
    "band:left=2,right=1": lambda q, k: -1 <= q - k <= 2,
    "prefix:length=2": lambda q, k: k < 2 or k <= q,
    "documents:lengths=2,3": lambda q, k: [q >= 2, q >= 5] == [k >= 2, k >= 5],
    "padding:lengths=4": lambda q, k: k < 4,
}


def cells(rule, q_pos, k_pos):
    return np.array([[rule(q, k) for k in k_pos] for q in q_pos])


@pytest.mark.parametrize("spec", RULES)
@pytest.mark.parametrize("offset", [0, 2, -1])
def test_rule(spec, offset):
    q_pos, k_pos = np.arange(N_Q) + offset, np.arange(N_K)
    visible = masks.parse(spec).visible(q_pos, k_pos)
    np.testing.assert_array_equal(visible, cells(RULES[spec], q_pos, k_pos))


def test_a_causal_window_holds_size_keys_the_query_included():
    visible = masks.parse("causal+window:size=3").visible(np.arange(9), np.arange(9))
    assert visible.sum(-1).tolist() == [1, 2, 3, 3, 3, 3, 3, 3, 3]


def test_counts_of_the_literature():
    """n = 16: causal n(n+1)/2, band ±2 n(2w+1) - w(w+1), causal window of 4 nW - W(W-1)/2."""
    n = np.arange(16)
    count = {spec: masks.parse(spec).visible(n, n).sum() for spec in
             ("causal", "band:left=2,right=2", "causal+window:size=4")}  # fmt: skip
    assert count == {"causal": 136, "band:left=2,right=2": 74, "causal+window:size=4": 58}


def test_plus_is_and_and_keeps_the_names():
    mask = masks.parse("causal") + masks.parse("padding:lengths=2")
    assert mask.name == "causal+padding:lengths=2"
    n = np.arange(4)
    np.testing.assert_array_equal(
        mask.visible(n, n), masks.causal(n, n) & masks.padding(n, n, lengths=(2,))
    )


def test_reasons_name_the_first_rule_that_masks():
    n = np.arange(4)
    reasons = masks.parse("causal+window:size=2").reasons(n, n)
    assert reasons.tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [2, 0, 0, 1], [2, 2, 0, 0]]


def test_padding_of_a_batch_has_a_batch_and_a_head_axis():
    visible = masks.padded((2, 3)).visible(np.arange(N_Q), np.arange(N_K))
    assert visible.shape == (2, 1, N_Q, N_K)
    assert visible[:, 0].sum(-1).tolist() == [[2] * N_Q, [3] * N_Q]


def test_none_masks_nothing():
    assert masks.parse("none").visible(np.arange(2), np.arange(2)) is None
    assert masks.parse("none").name == "none"


def test_custom_wants_booleans():
    with pytest.raises(AttnvizError, match="boolean with True = visible; got int64"):
        masks.custom(np.ones((2, 2), np.int64))


def test_custom_wants_the_right_size():
    with pytest.raises(AttnvizError, match=r"shape \[3, 3\]; expected n_q = 2 rows"):
        masks.custom(np.ones((3, 3), bool)).visible(np.arange(2), np.arange(2))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("causl", "unknown mask: 'causl'"),
        ("window", "needs the option 'size'"),
        ("window:width=3", "has no option 'width'"),
        ("window:size=x", "expected a whole number"),
        ("causal:3", "expected key=value"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(AttnvizError, match=message):
        masks.parse(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("window:size=0", "window: size: expected a whole number from 1, got '0'"),
        ("causal+window:size=-3", "window: size: expected a whole number from 1"),
        ("band:left=-1", "left: expected a whole number from 0, got '-1'"),
        ("band:right=-1", "right: expected a whole number from 0"),
        ("prefix:length=-1", "length: expected a whole number from 0"),
        (
            "padding:lengths=3,-1",
            "lengths: expected whole numbers from 0 separated by commas, got '3,-1'",
        ),
        ("documents:lengths=-2", "lengths: expected whole numbers from 0"),
    ],
)
def test_options_below_their_minimum(spec, message):
    with pytest.raises(AttnvizError, match=message):
        masks.parse(spec)


@pytest.mark.parametrize(
    "values",
    [
        np.array([True, False, True]),
        np.array([1, 0, 1]),
        np.array([1.0, 0.0, 1.0]),
        np.array([0.0, -np.inf, 0.0]),
        np.array([0, -65504, 0], np.float16),
        np.array([0, np.finfo(np.float32).min, 0], np.float32),
    ],
)
def test_masks_as_people_keep_them(values):
    assert masks.as_visible("m", values).tolist() == [True, False, True]


def test_zeros_are_a_mask_or_what_is_added():
    assert not masks.as_visible("m", np.zeros(3, int)).any()
    assert masks.as_visible("m", np.zeros(3)).all()


@pytest.mark.parametrize("values", [[0.5, 1], [2, 1], ["a"], [-np.inf, 1], [np.nan]])
def test_numbers_that_are_no_mask(values):
    with pytest.raises(AttnvizError, match="m is no mask: it holds"):
        masks.as_visible("m", np.array(values))


@pytest.mark.parametrize("spec", RULES)
@pytest.mark.parametrize("offset", [0, 2, -3])
def test_reach_is_from_the_first_to_the_last_key_that_some_query_sees(spec, offset):
    q_pos, k_pos = np.arange(N_Q) + offset, np.arange(N_K)
    visible = cells(RULES[spec], q_pos, k_pos)
    for mask in masks.parse(spec), masks.custom(visible):
        reach = mask.reach(q_pos, k_pos)
        for start, stop in itertools.combinations(range(N_Q + 1), 2):
            seen = np.flatnonzero(visible[start:stop].any(0))
            found = reach(slice(start, stop))
            assert (found.start, found.stop) == ((seen[0], seen[-1] + 1) if seen.size else (0, 0))


@pytest.mark.parametrize("shape", [(N_Q, N_K), (3, N_Q, N_K), (N_K,), (N_Q, 1), (3, 1, N_K)])
def test_a_part_of_a_mask_is_a_part_of_its_cells(shape, generator):
    q_pos, k_pos = np.arange(N_Q), np.arange(N_K)
    mask = masks.CAUSAL + masks.custom(generator.random(shape) < 0.5)
    for queries, keys in ((slice(1, 4), slice(2, 5)), (np.array([0, 3]), np.array([1, 2, 6]))):
        for part, whole in ((mask.visible_part, mask.visible), (mask.reasons_part, mask.reasons)):
            expected = np.asarray(whole(q_pos, k_pos))[..., queries, :][..., keys]
            np.testing.assert_array_equal(part(q_pos, k_pos, queries, keys), expected)
