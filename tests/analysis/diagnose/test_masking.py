"""The rules of a mask, and how they are found in an array."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.masking import Masking, Segments, recognised

N_BATCH, N_HEAD, N = 3, 2, 11


def drawn(masking: Masking, n_q: int = N, n_k: int = N) -> np.ndarray:
    """The mask as an array [n_batch, 1, n_q, n_k], cell by cell."""
    seen = np.ones((N_BATCH, 1, n_q, n_k), bool)
    offset = np.broadcast_to(masking.offset, N_BATCH)
    prefix = np.broadcast_to(masking.prefix, N_BATCH)
    for b, _, i, j in np.ndindex(*seen.shape):
        behind = i + offset[b] - j
        hidden = masking.causal and behind < -masking.ahead and j >= prefix[b]
        hidden |= masking.left is not None and behind > masking.left
        hidden |= masking.right is not None and behind < -masking.right
        hidden |= masking.keys is not None and not masking.keys[b, 0, 0, j]
        hidden |= masking.queries is not None and not masking.queries[b, 0, i, 0]
        if masking.segments is not None:
            queries, keys = (np.broadcast_to(x, (N_BATCH, x.shape[-1])) for x in masking.segments)
            hidden |= queries[b, i] != keys[b, j]
        seen[b, 0, i, j] = not hidden
    return seen


def right_padding(n_k: int = N, lengths: tuple[int, ...] = (11, 7, 5)) -> np.ndarray:
    return (np.arange(n_k) < np.array(lengths)[:, None])[:, None, None, :]


def left_padding() -> np.ndarray:
    return right_padding()[..., ::-1]


TEXTS = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
TEXTS_OF_ITEMS = np.array([[0] * 11, [0] * 4 + [1] * 7, [0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2]])
CAUSAL = Masking(causal=True)

RULES: dict[str, tuple[Masking, tuple[int, int]]] = {
    "causal": (CAUSAL, (N, N)),
    "strict": (replace(CAUSAL, ahead=-1), (N, N)),
    "one ahead": (replace(CAUSAL, ahead=1), (N, N)),
    "lower right": (replace(CAUSAL, offset=6), (5, N)),
    "upper left": (CAUSAL, (5, N)),
    "upper left of few keys": (CAUSAL, (N, 7)),
    "lower right of few keys": (replace(CAUSAL, offset=-4), (N, 7)),
    "strict lower right": (replace(CAUSAL, offset=6, ahead=-1), (5, N)),
    "offset of no corner": (replace(CAUSAL, offset=3), (5, N)),
    "offset of each item": (replace(CAUSAL, offset=np.array([6, 3, 1])), (5, N)),
    "window": (replace(CAUSAL, left=3), (N, N)),
    "window lower right": (replace(CAUSAL, left=3, offset=6), (5, N)),
    "window at items' offsets": (replace(CAUSAL, left=2, offset=np.array([6, 3, 2])), (5, N)),
    "window to both sides": (Masking(left=3, right=2), (N, N)),
    "window to the left, not causal": (Masking(left=3), (N, N)),
    "padding on the right": (Masking(keys=right_padding()), (N, N)),
    "padding on the left": (Masking(keys=left_padding()), (N, N)),
    "padding, one query": (Masking(keys=right_padding()), (1, N)),
    "causal, padding on the right": (replace(CAUSAL, keys=right_padding()), (N, N)),
    "causal, padding on the left": (replace(CAUSAL, keys=left_padding()), (N, N)),
    "lower right, padding on the left": (replace(CAUSAL, offset=6, keys=left_padding()), (5, N)),
    "lower right, padding on the right": (replace(CAUSAL, offset=6, keys=right_padding()), (5, N)),
    "window, padding on the left": (replace(CAUSAL, left=3, keys=left_padding()), (N, N)),
    "window, padding on the right": (replace(CAUSAL, left=4, keys=right_padding()), (N, N)),
    "padding of keys and queries": (
        Masking(keys=right_padding(), queries=right_padding().swapaxes(2, 3)),
        (N, N),
    ),
    "causal, padding of keys and queries": (
        replace(CAUSAL, keys=right_padding(), queries=right_padding().swapaxes(2, 3)),
        (N, N),
    ),
    "prefix": (replace(CAUSAL, prefix=4), (N, N)),
    "prefix of each item": (replace(CAUSAL, prefix=np.array([4, 2, 7])), (N, N)),
    "prefix, padding": (replace(CAUSAL, prefix=4, keys=right_padding()), (N, N)),
    "packed": (Masking(segments=Segments(TEXTS, TEXTS)), (N, N)),
    "packed, causal": (replace(CAUSAL, segments=Segments(TEXTS, TEXTS)), (N, N)),
    "packed, in a window": (replace(CAUSAL, left=2, segments=Segments(TEXTS, TEXTS)), (N, N)),
    "packed differently": (
        replace(CAUSAL, segments=Segments(TEXTS_OF_ITEMS, TEXTS_OF_ITEMS)),
        (N, N),
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_masking_hides_what_its_rules_say(name: str) -> None:
    masking, (n_q, n_k) = RULES[name]
    shown = masking.visible(np.arange(n_q), n_k)
    expected = drawn(masking, n_q, n_k)
    np.testing.assert_array_equal(np.broadcast_to(shown, expected.shape), expected)
    rows = np.array([0, n_q - 1])
    some = masking.visible(rows, n_k)
    np.testing.assert_array_equal(
        np.broadcast_to(some, expected[:, :, rows].shape), expected[:, :, rows]
    )


@pytest.mark.parametrize("name", RULES)
def test_rules_are_recognised(name: str) -> None:
    masking, (n_q, n_k) = RULES[name]
    found = recognised(drawn(masking, n_q, n_k), n_q)
    assert found.parts == masking.parts
    for field in ("causal", "ahead", "left", "right"):
        assert getattr(found, field) == getattr(masking, field), field
    for field in ("offset", "prefix"):
        np.testing.assert_array_equal(getattr(found, field), getattr(masking, field))
    if masking.keys is not None:
        np.testing.assert_array_equal(np.broadcast_to(found.keys, masking.keys.shape), masking.keys)
    assert_hides_the_same(found, drawn(masking, n_q, n_k))


def assert_hides_the_same(found: Masking, visible: np.ndarray) -> None:
    n_q, n_k = visible.shape[-2:]
    shown = found.visible(np.arange(n_q), n_k)
    shown = np.ones_like(visible) if shown is None else np.broadcast_to(shown, visible.shape)
    np.testing.assert_array_equal(shown, visible)


@pytest.mark.parametrize("seed", range(40))
def test_the_rules_hide_exactly_what_the_array_hides(seed: int) -> None:
    """Rules with cells changed at random, heads apart, rows and items emptied, or no rule at all."""
    rng = np.random.default_rng(seed)
    masking, (n_q, n_k) = list(RULES.values())[rng.integers(len(RULES))]
    visible = np.broadcast_to(drawn(masking, n_q, n_k), (N_BATCH, N_HEAD, n_q, n_k)).copy()
    kind = seed % 5
    if kind == 0:
        visible &= rng.random(visible.shape) < 0.8
    elif kind == 1:
        visible |= rng.random(visible.shape) < 0.05
    elif kind == 2:
        visible[:, 1] &= rng.random((n_q, n_k)) < 0.5
    elif kind == 3:
        visible[rng.integers(N_BATCH)] = False
        visible[:, :, rng.integers(n_q)] = False
    else:
        visible = rng.random((1, 1, n_q, n_k)) < rng.random()
    assert_hides_the_same(recognised(visible, n_q), visible)


def test_what_no_rule_explains_stays_beside_the_rules() -> None:
    rng = np.random.default_rng(3)
    rule = replace(CAUSAL, keys=left_padding())
    sparse = (rng.random((1, N_HEAD, N, N)) < 0.7) | np.eye(N, dtype=bool)
    found = recognised(drawn(rule) & sparse, N)
    assert found.parts == ("causal", "padding", "custom")
    np.testing.assert_array_equal(found.keys, rule.keys)


def test_axes_may_be_missing() -> None:
    assert recognised(drawn(CAUSAL)[0, 0], N).parts == ("causal",)
    assert recognised(right_padding()[1, 0], N).parts == ("padding",)
    assert recognised(np.ones((N, N), bool), N).is_empty
    assert recognised(np.zeros((N, N), bool), N).parts == ("custom",)


def test_parts_apart() -> None:
    masking = replace(CAUSAL, left=3, ahead=-1, keys=right_padding())
    assert masking.parts == ("causal", "window", "padding")
    assert masking.without("causal").parts == ("window", "padding")
    assert masking.without("causal").ahead == 0
    assert masking.only("causal").parts == ("causal",)
    assert masking.only("causal").ahead == -1


def test_empty_rows_are_seen() -> None:
    assert not CAUSAL.leaves_rows_empty(N, N)
    assert replace(CAUSAL, ahead=-1).leaves_rows_empty(N, N)
    assert replace(CAUSAL, keys=left_padding()).leaves_rows_empty(N, N)
    assert not replace(CAUSAL, keys=right_padding()).leaves_rows_empty(N, N)
    assert replace(CAUSAL, ahead=-1).leaves_rows_empty(20_011, 7)


def test_a_misreading_changes_the_mask_row_by_row() -> None:
    masking = replace(CAUSAL, misread=np.logical_not)
    np.testing.assert_array_equal(masking.visible(np.array([2]), 5), [[[[0, 0, 0, 1, 1]]]])
