"""Effects worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnviz.analysis.effects import EFFECTS, Case, Outcome, applicable

HALF = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
MOVED = np.log([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]) + 3  # logits may be shifted


def value(name, case, outcome):
    return EFFECTS[name].function(case, outcome).mean()


def test_kl_and_change():
    case = Case(Outcome(HALF))
    expected = (0.5 * np.log(2) + 0.25 * np.log(0.5)) / 2
    assert value("kl", case, Outcome(MOVED)) == pytest.approx(expected)
    assert value("kl", case, Outcome(HALF)) == 0
    assert value("changed", case, Outcome(MOVED)) == 0.5


@given(arrays(np.float64, (2, 3, 5), elements=st.floats(-30, 30)))
def test_kl_is_never_negative(logits):
    case = Case(Outcome(logits[0]))
    assert EFFECTS["kl"].function(case, Outcome(logits[1])).min() >= -1e-12
    assert EFFECTS["kl"].function(case, Outcome(logits[0] + 7)) == pytest.approx(0, abs=1e-9)


def test_an_impossible_output_stays_impossible():
    never = np.array([[0.0, -np.inf, 1.0]])
    assert value("kl", Case(Outcome(never)), Outcome(never)) == 0


def test_right_and_watched():
    right, watched = np.array([1, -1]), np.array([-1, 2])
    case = Case(Outcome(HALF), right=right, watched=watched, whole=True)
    assert value("accuracy", case, case.intact) == 0
    assert value("accuracy", case, Outcome(MOVED)) == 1
    assert value("exact", case, case.intact) == 0
    assert value("exact", case, Outcome(MOVED)) == 1
    assert value("probability", case, Outcome(MOVED)) == pytest.approx(0.8)
    assert value("logit", case, Outcome(MOVED)) == pytest.approx(np.log(0.8) + 3)
    assert EFFECTS["accuracy"].harm(np.array(0.25), np.array(1.0)) == 0.75
    assert EFFECTS["kl"].harm(np.array(0.25), np.array(0.0)) == 0.25


def test_one_wrong_place_is_a_wrong_answer():
    case = Case(Outcome(HALF), right=np.array([1, 1]), whole=True)
    assert value("accuracy", case, Outcome(MOVED)) == 0.5
    assert value("exact", case, Outcome(MOVED)) == 0


def test_loss():
    case = Case(Outcome(HALF), right=np.array([1, -1]))
    assert case.loss(Outcome(MOVED)) == pytest.approx(np.log(2))
    own = Case(Outcome(HALF))  # nobody knows anything: 0 and 2 are what it says itself
    expected = -(np.log(0.25) + np.log(0.8)) / 2
    assert own.loss(Outcome(MOVED)) == pytest.approx(expected)
    assert own._replace(right=np.array([-1, -1])).loss(Outcome(MOVED)) == pytest.approx(expected)


def test_states():
    case = Case(Outcome(np.array([[3.0, 4.0], [1.0, 0.0]])), has_logits=False)
    turned = Outcome(np.array([[6.0, 8.0], [0.0, 1.0]]))
    assert EFFECTS["distance"].function(case, turned) == pytest.approx([1, np.sqrt(2)])
    assert EFFECTS["turn"].function(case, turned) == pytest.approx([0, 1])
    assert (EFFECTS["turn"].function(case, case.intact) == 0).all()


def test_what_can_be_measured():
    outcome, some = Outcome(HALF), np.zeros(2, int)
    assert applicable(Case(outcome)) == ["kl", "changed"]
    assert applicable(Case(outcome, has_logits=False)) == ["distance", "turn"]
    assert applicable(Case(outcome, right=some)) == ["kl", "changed", "accuracy"]
    assert applicable(Case(outcome, watched=some)) == ["kl", "changed", "probability", "logit"]
    assert "exact" in applicable(Case(outcome, right=some, whole=True))
