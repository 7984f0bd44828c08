"""What an intervention does to a model's output: a small registry of measures.

Each looks at one text's outputs before and after, and gives numbers of which the mean counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array


class Outcome:
    """What a model puts out at the places of a text that count."""

    def __init__(self, values: Array) -> None:
        self.values = np.asarray(values, np.float64)
        """[n_place, n_output] logits, or [n_place, d_model] states of a model without an output."""

    @cached_property
    def log_shares(self) -> Array:
        """[n_place, n_output]: the logarithms of the outputs' probabilities."""
        above = self.values - self.values.max(-1, keepdims=True)
        shares: Array = above - np.log(np.exp(above).sum(-1, keepdims=True))
        return shares

    @cached_property
    def best(self) -> Array:
        """[n_place]: the most probable outputs."""
        found: Array = self.values.argmax(-1)
        return found


class Case(NamedTuple):
    """One text, as the whole model answers it."""

    intact: Outcome
    has_logits: bool = True
    """Whether the output is logits, and not states."""
    right: Array | None = None
    """[n_place]: the right outputs, below 0 where nobody knows; None if nowhere."""
    watched: Array | None = None
    """[n_place]: the outputs whose probability is told, below 0 where none; None if nowhere."""
    whole: bool = False
    """Whether the places make one answer, right only as a whole."""

    def loss(self, outcome: Outcome) -> float:
        """The mean of -ln p(right), in nats; what the whole model finds most probable counts as
        right where nobody knows anything."""
        known = self.right is not None and (self.right >= 0).any()
        right = self.right if known else self.intact.best
        assert right is not None
        return float(-_chosen(outcome.log_shares, right).mean())


class Effect(NamedTuple):
    """One measure."""

    about: str
    values: Callable[[Case, Outcome], Array]
    """The numbers of one text; their mean over all texts is the effect."""
    applies: Callable[[Case], bool]
    falls: bool = False
    """Whether a model that gets worse has less of it."""

    def harm(self, value: Array, intact: Array) -> Array:
        """How much worse it got: above 0 for worse, whichever way that is."""
        return intact - value if self.falls else value - intact


def kl(case: Case, outcome: Outcome) -> Array:
    before, after = case.intact.log_shares, outcome.log_shares
    share = np.exp(before)
    with np.errstate(invalid="ignore"):
        terms = np.where(share > 0, share * (before - after), 0)
    total: Array = terms.sum(-1)
    return total


def changed(case: Case, outcome: Outcome) -> Array:
    return np.asarray(case.intact.best != outcome.best, np.float64)


def accuracy(case: Case, outcome: Outcome) -> Array:
    assert case.right is not None
    known = case.right >= 0
    return np.asarray((outcome.best == case.right)[known], np.float64)


def exact(case: Case, outcome: Outcome) -> Array:
    return np.array([float(accuracy(case, outcome).all())])


def probability(case: Case, outcome: Outcome) -> Array:
    assert case.watched is not None
    return np.exp(_chosen(outcome.log_shares, case.watched))


def logit(case: Case, outcome: Outcome) -> Array:
    assert case.watched is not None
    return _chosen(outcome.values, case.watched)


def distance(case: Case, outcome: Outcome) -> Array:
    before, after = case.intact.values, outcome.values
    length = np.linalg.norm(before, axis=-1)
    moved: Array = np.linalg.norm(after - before, axis=-1) / np.maximum(length, TINY)
    return moved


def turn(case: Case, outcome: Outcome) -> Array:
    before, after = (_unit(each.values) for each in (case.intact, outcome))
    return np.asarray(((after - before) ** 2).sum(-1) / 2)  # exactly 0 where nothing changed


def _unit(states: Array) -> Array:
    return np.asarray(states / np.maximum(np.linalg.norm(states, axis=-1, keepdims=True), TINY))


TINY = np.finfo(np.float64).tiny


def _is_known(case: Case) -> bool:
    return case.has_logits and case.right is not None


def _is_watched(case: Case) -> bool:
    return case.has_logits and case.watched is not None


EFFECTS = {
    "kl": Effect(
        "KL(whole model ‖ model without), nats, mean over places", kl, lambda case: case.has_logits
    ),
    "changed": Effect(
        "share of places whose most probable output is another",
        changed,
        lambda case: case.has_logits,
    ),
    "accuracy": Effect("share of places that are right", accuracy, _is_known, falls=True),
    "exact": Effect(
        "share of texts that are right at every place, as greedy decoding would write them",
        exact,
        lambda case: _is_known(case) and case.whole,
        falls=True,
    ),
    "probability": Effect(
        "probability of the watched output", probability, _is_watched, falls=True
    ),
    "logit": Effect("logit of the watched output", logit, _is_watched, falls=True),
    "distance": Effect(
        "‖change of the last hidden state‖ / ‖that state‖, mean over tokens",
        distance,
        lambda case: not case.has_logits,
    ),
    "turn": Effect(
        "1 - cosine of the last hidden state before and after, mean over tokens",
        turn,
        lambda case: not case.has_logits,
    ),
}
"""By name, the default first."""


def applicable(case: Case) -> list[str]:
    """The effects that can be measured on such texts."""
    return [name for name, effect in EFFECTS.items() if effect.applies(case)]


def _chosen(values: Array, outputs: Array) -> Array:
    """Of values [n_place, n_output] those of one output a place; places below 0 are left out."""
    known = outputs >= 0
    picked: Array = values[known, outputs[known]]
    return picked
