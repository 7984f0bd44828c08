"""Scores and masks compared on the same queries and keys."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz import attend
from attnviz.analysis.comparison import (
    compare_masks,
    compare_scores,
    mask_effect,
    seeded_score,
    sharpness_by_width,
)
from attnviz.nn.masks import NONE, parse
from attnviz.nn.scores import SCORES

PUBLISHED = {
    1: (1.926, 0.320),
    4: (1.333, 0.532),
    16: (0.702, 0.742),
    64: (0.347, 0.865),
    256: (0.164, 0.935),
}
"""Entropy and largest weight of softmax over 10 logits from N(0, d), by d."""


@pytest.mark.parametrize("d_k", [4, 16, 64, 256])
def test_why_the_scaling_is_there(d_k):
    """The variance of q·k is d_k; after the division by √d_k it is 1 at every width."""
    dot, scaled = sharpness_by_width(seeded_score, ["dot", "scaled_dot"], [d_k], seed=0)
    assert dot.variance == pytest.approx(d_k, rel=0.05)
    assert scaled.variance == pytest.approx(1, rel=0.05)
    assert dot.entropy == pytest.approx(PUBLISHED[d_k][0], abs=0.12)
    assert dot.largest == pytest.approx(PUBLISHED[d_k][1], abs=0.05)
    assert scaled.entropy == pytest.approx(PUBLISHED[1][0], abs=0.05)


def test_the_same_numbers_twice():
    found = [sharpness_by_width(seeded_score, list(SCORES), [4], seed=0) for _ in range(2)]
    assert found[0] == found[1]


@pytest.fixture
def qkv(generator):
    return tuple(generator.normal(size=(3, 5, 7)) for _ in range(3))


def test_scores_are_those_of_attend(qkv):
    dot, cosine = compare_scores(
        *qkv, parse("causal"), {name: SCORES[name] for name in ("dot", "cosine")}
    )
    np.testing.assert_array_equal(dot.weights, attend(*qkv, score="dot", causal=True).weights)
    np.testing.assert_array_equal(cosine.scores, attend(*qkv, score="cosine", causal=True).scores)
    assert 0 < dot.entropy <= dot.max_entropy


def test_masks_are_those_of_attend(qkv):
    none, window = compare_masks(
        *qkv, SCORES["scaled_dot"], {"none": NONE, "w": parse("window:size=2")}
    )
    np.testing.assert_array_equal(none.weights, attend(*qkv).weights)
    np.testing.assert_array_equal(window.weights, attend(*qkv, window=2).weights)
    assert window.reasons.tolist() == (~window.mask).astype(int).tolist()
    assert window.max_entropy < none.max_entropy == pytest.approx(np.log(5))


@pytest.mark.parametrize("settings", [{}, {"softcap": 0.5}, {"positions": "alibi"}], ids=str)
def test_mask_effect_is_the_run_without_a_mask(settings):
    """Of the first layer, whose queries and keys no mask has touched."""
    stages = ("scores", "weights", "bias")
    with_mask = attnviz.run(
        "I saw a saw", model="random", mask="causal", stages=stages, **settings
    ).records[0]
    without = attnviz.run("I saw a saw", model="random", stages=stages, **settings).records[0]
    for head in range(4):
        effect = mask_effect(with_mask, head)
        np.testing.assert_allclose(effect.without, without.weights[head], atol=1e-6)
        np.testing.assert_array_equal(effect.with_mask, with_mask.weights[head])
        assert effect.hidden_cells == 6
        upper = np.triu(without.weights[head], 1).sum(-1).mean()
        assert effect.hidden_share == pytest.approx(upper, abs=1e-6)


def test_changes_and_what_both_hide(qkv):
    masks = {"w": parse("window:size=2"), "causal": parse("causal")}
    window, causal = compare_masks(*qkv, SCORES["scaled_dot"], masks)
    np.testing.assert_array_equal(causal.change(window), causal.weights - window.weights)
    both = causal.hidden_in_both(window)
    np.testing.assert_array_equal(both != 0, ~window.mask & ~causal.mask)
