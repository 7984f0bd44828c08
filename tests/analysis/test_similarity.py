"""Distances of heads against their definition; the order against all orders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnviz
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.similarity import (
    MAX_DISTANCE,
    comparable,
    head_distances,
    leaf_order,
    similarities,
)


def test_distances_by_hand():
    identity, first = np.eye(4), np.eye(4)[[0] * 4]
    found = head_distances(np.array([identity, first, identity]), np.ones(4, bool))
    far = 0.75 * np.sqrt(np.log(2))  # row 0 is the same
    np.testing.assert_allclose(found, [[0, far, 0], [far, 0, far], [0, far, 0]], atol=1e-12)
    apart = head_distances(np.array([identity, first]), np.array([False, True, True, True]))
    assert apart[0, 1] == pytest.approx(MAX_DISTANCE)
    assert pytest.approx(0.833, abs=5e-4) == MAX_DISTANCE


def test_distances_by_their_definition(generator):
    weights = generator.random((5, 3, 7))
    weights /= weights.sum(-1, keepdims=True)
    found = head_distances(weights, np.ones(3, bool))

    def divergence(p, q):
        return (p * np.log(p / q)).sum()

    for a in range(5):
        for b in range(5):
            rows = []
            for p, q in zip(weights[a], weights[b], strict=True):
                m = (p + q) / 2
                rows.append(np.sqrt((divergence(p, m) + divergence(q, m)) / 2))
            assert found[a, b] == pytest.approx(np.mean(rows))


def clusters(distances):
    """Average linkage as it is defined: the means over all pairs, anew in every step."""
    parts = [((place,), place) for place in range(len(distances))]
    while len(parts) > 1:
        pairs = [(i, j) for i in range(len(parts)) for j in range(i + 1, len(parts))]
        i, j = min(
            pairs, key=lambda pair: distances[np.ix_(parts[pair[0]][0], parts[pair[1]][0])].mean()
        )
        both = (parts[i][0] + parts[j][0], (parts[i][1], parts[j][1]))
        parts = [part for place, part in enumerate(parts) if place not in (i, j)] + [both]
    return parts[0][1]


def orders(tree):
    """All orders of the leaves that turning the branches gives."""
    if isinstance(tree, int):
        return [[tree]]
    left, right = orders(tree[0]), orders(tree[1])
    return [a + b for a in left for b in right] + [b + a for a in left for b in right]


def length(order, distances):
    return distances[order[:-1], order[1:]].sum()


@given(n=st.integers(1, 8), seed=st.integers(0, 10**6))
def test_no_turn_of_the_tree_is_shorter(n, seed):
    points = np.random.default_rng(seed).random((n, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    order = leaf_order(distances)
    allowed = orders(clusters(distances))
    assert order in allowed
    assert length(order, distances) == pytest.approx(min(length(o, distances) for o in allowed))


@pytest.mark.parametrize("seed", range(20))
def test_every_pair_of_leaves_counts_the_same(seed):
    """Numbers that are nobody's distances: here means over pairs and means of means part."""
    distances = np.random.default_rng(seed).random((8, 8))
    distances = distances + distances.T
    np.fill_diagonal(distances, 0)
    assert leaf_order(distances) in orders(clusters(distances))


def test_groups_that_lie_apart_stay_together(generator):
    kinds = np.array([0, 1, 2] * 30)
    places = kinds * 10.0 + generator.random(90)
    order = leaf_order(np.abs(places[:, None] - places))
    assert np.count_nonzero(np.diff(kinds[order])) == 2


def test_a_chain_is_found():
    places = 1.05 ** np.arange(300)
    order = leaf_order(np.abs(places[:, None] - places))
    assert order == list(range(300))


def test_only_heads_of_the_same_tokens_are_compared(saw):
    (group,) = comparable(saw, [("encoder.1.self", 2), ("encoder.0.self", 0)])
    assert group.members == (0, 1)
    np.testing.assert_array_equal(group.weights[0], saw["encoder.1.self"].weights[2])
    assert group.rows.tolist() == [False, True, True, True]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.5, 3.0])
def test_heads_without_distributions_are_far_from_all(tmp_path, generator, wrong):
    """Their distances are not defined, and they stand at the ends."""
    weights = generator.dirichlet(np.ones(5), (5, 5))
    weights[2, 1, 1] = wrong
    np.save(tmp_path / "w.npy", weights)
    trace = attnviz.load(tmp_path / "w.npy")
    for like in (True, False):
        (found,) = similarities(trace, measure_heads(trace), like=like)
        broken = [i for i, head in enumerate(found.heads) if head == 2]
        undefined = np.isnan(found.distances)
        assert undefined[broken].all()
        assert undefined.sum() == 9
        assert sorted(found.heads) == [0, 1, 2, 3, 4]
        if like:
            assert broken in ([0], [4])
