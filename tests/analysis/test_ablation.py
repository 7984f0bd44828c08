"""Trials and rankings, on a toy whose heads add known numbers to the logits."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.ablation import (
    MAX_STEPS,
    Ablations,
    importance,
    measure,
    others_of_its_attention,
    prune,
    steps,
)
from attnviz.analysis.effects import Case, Outcome
from attnviz.nn.site import RecordId
from attnviz.trace.selection import Head

HEADS = tuple(Head(RecordId("decoder", 0, "self"), h) for h in range(3))
ADDED = np.array([[[2.0, 0, 0], [0, 0.5, 0]], [[0.1, 0, 0], [0, 0, 0.2]], [[0, 1.0, 0], [3, 0, 0]]])
"""[n_head, n_place, n_output]: what each head adds to the logits."""
RIGHT = np.array([0, 1])


def weighed(openings):
    return np.einsum("h,hpo->po", openings, ADDED)


def without(heads):
    return weighed(np.array([float(head not in heads) for head in HEADS]))


CASE = Case(Outcome(without(())), right=RIGHT)


def test_the_mean_of_all_texts():
    other = Case(Outcome(without(())[:1]), right=RIGHT[:1])
    texts = [(CASE, without), (other, lambda heads: without(heads)[:1])]
    found = measure(texts, [(), HEADS[:1], HEADS[2:]], ["kl", "accuracy"])
    assert found[0].tolist() == [0, pytest.approx(2 / 3)]
    assert found[1, 1] == 0  # without head 0 the first place goes to output 1, in both texts
    assert found[2, 1] == 1  # head 2 was what made the second place wrong
    by_hand = []
    for case, output in ((CASE, without(HEADS[:1])), (other, without(HEADS[:1])[:1])):
        p, q = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (case.intact.values, output))
        by_hand += list((p * np.log(p / q)).sum(-1))
    assert found[1, 0] == pytest.approx(np.mean(by_hand))


def test_importance_is_the_slope_of_the_loss():
    """∂L/∂ξ_h = mean over places of Σ_o (p_o - 1[o is right]) · what head h adds to o."""
    output = CASE.intact.values
    p = np.exp(output) / np.exp(output).sum(-1, keepdims=True)
    slopes = ((p - np.eye(3)[RIGHT]) * ADDED).sum(-1)  # [n_head, n_place]
    found = importance([(CASE, weighed)], 3)
    np.testing.assert_allclose(found, np.abs(slopes.mean(-1)), rtol=1e-6)


def test_importance_is_absolute_for_every_text():
    """Slopes of opposite sign do not cancel. Michel et al. 2019."""
    turned = Case(CASE.intact, right=np.array([1, 0]))
    one, two = (importance([(case, weighed)], 3) for case in (CASE, turned))
    both = importance([(CASE, weighed), (turned, weighed)], 3)
    np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-9)


def test_ranking():
    values = measure([(CASE, without)], [(), *((head,) for head in HEADS)], ["kl", "accuracy"])
    found = Ablations(HEADS, ("kl", "accuracy"), values[0], values[1:])
    assert found.ranking() == sorted(range(3), key=lambda i: -values[1 + i, 0])
    assert found.shares().sum() == pytest.approx(1)
    by_gradient = Ablations(
        HEADS, ("kl", "accuracy"), values[0], values[1:], importance=np.array([1.0, 3.0, 2.0])
    )
    assert by_gradient.ranking() == [1, 2, 0]
    assert by_gradient.by_harm() == found.ranking()


def test_ties_are_settled_by_the_other_effects():
    values = np.array([[0.5, 0.1], [0.5, 0.3], [0.9, 0.0]])
    found = Ablations(HEADS, ("accuracy", "kl"), np.array([0.9, 0.0]), values)
    assert found.ranking() == [1, 0, 2]
    np.testing.assert_allclose(found.shares(), [0.5, 0.5, 0])


def test_no_harm_has_no_shares():
    found = Ablations(HEADS, ("accuracy",), np.array([0.5]), np.array([[0.5], [0.75], [0.5]]))
    assert found.shares().tolist() == [0, 0, 0]


def test_all_but_one():
    others = others_of_its_attention(Head(RecordId("encoder", 1, "self"), 2), 4)
    assert [str(head) for head in others] == [f"encoder.1.self.H{h}" for h in (0, 1, 3)]


@pytest.mark.parametrize("n_head", [1, 7, MAX_STEPS, 1024])
def test_steps_go_from_none_to_all(n_head):
    counts = steps(n_head)
    assert (counts[0], counts[-1]) == (0, n_head)
    assert (np.diff(counts) > 0).all()
    assert len(counts) == min(n_head, MAX_STEPS) + 1


def test_pruning_takes_out_more_and_more():
    seen = []

    def measured(trials):
        seen.extend(map(tuple, trials))
        return measure([(CASE, without)], trials, ["kl"])

    pruning = prune("some order", "nobody", [HEADS[1], HEADS[2], HEADS[0]], measured)
    assert seen == [(), HEADS[1:2], (HEADS[1], HEADS[2]), (HEADS[1], HEADS[2], HEADS[0])]
    assert pruning.values[0, 0] == 0
    p = np.exp(CASE.intact.values) / np.exp(CASE.intact.values).sum(-1, keepdims=True)
    everything = (p * np.log(p * 3)).sum(-1).mean()  # nothing is left but an even spread
    assert pruning.values[-1, 0] == pytest.approx(everything)
