"""What an intervention does to a model's output: a registry of measures.

Each looks at one text's outputs before and after, and gives numbers of which the mean counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from attnviz.language import to_say
from attnviz.nn.types import Array, brief
from attnviz.registry import Entry, Registry


class Outcome:
    """What a model puts out at the positions of a text that count."""

    def __init__(self, values: Array) -> None:
        self.values = np.asarray(values, np.float64)
        """Logits [n_position, n_output], or states [n_position, d_model] of a model without an
        output."""

    @cached_property
    def log_shares(self) -> Array:
        """[n_position, n_output]: the logarithms of the outputs' probabilities."""
        above = self.values - self.values.max(-1, keepdims=True)
        shares: Array = above - np.log(np.exp(above).sum(-1, keepdims=True))
        return shares

    @cached_property
    def best(self) -> Array:
        """[n_position]: the most probable outputs."""
        best: Array = self.values.argmax(-1)
        return best


class Case(NamedTuple):
    """One text, as the whole model answers it."""

    intact: Outcome
    has_logits: bool = True
    """Whether the output is logits, and not states."""
    right: Array | None = None
    """[n_position]: the right outputs, below 0 where nobody knows; None if nowhere."""
    watched: Array | None = None
    """[n_position]: the outputs whose probability is reported, below 0 where none; None if
    nowhere."""
    whole: bool = False
    """Whether the positions make one answer, right only as a whole."""

    def __repr__(self) -> str:
        return brief(self)

    def loss(self, outcome: Outcome) -> float:
        """The mean of -ln p(right), in nats; what the whole model finds most probable counts as
        right where nobody knows anything."""
        known = self.right is not None and (self.right >= 0).any()
        right = self.right if known else self.intact.best
        assert right is not None
        return float(-_chosen(outcome.log_shares, right).mean())


TINY = np.finfo(np.float64).tiny


def _always(case: Case) -> bool:
    return True


def _is_known(case: Case) -> bool:
    return case.has_logits and case.right is not None


def _is_watched(case: Case) -> bool:
    return case.has_logits and case.watched is not None


@dataclass(frozen=True)
class EffectEntry(Entry):
    """A function `(Case, Outcome) -> numbers` of one text; their mean over all texts is the effect.

    The first one that applies is the default.
    """

    about: str = ""
    """What it is, in a line on the screen; by default the function's summary."""
    applies: Callable[[Case], bool] = _always
    falls: bool = False
    """Whether it is smaller for a model that is worse."""

    def harm(self, value: Array, intact: Array) -> Array:
        """How much worse it got, [...] -> [...]: above 0 for worse, whichever way that is."""
        return intact - value if self.falls else value - intact


EFFECTS: Registry[EffectEntry] = Registry("effect", EffectEntry)


def applicable(case: Case) -> list[str]:
    """The effects that can be measured on such texts, the default first."""
    return [name for name, effect in EFFECTS.items() if effect.applies(case)]


@EFFECTS.add(
    about=to_say("KL(whole model ‖ model without), nats, mean over places"),
    applies=lambda case: case.has_logits,
)
def kl(case: Case, outcome: Outcome) -> Array:
    """Σ_o p(o) (ln p(o) - ln p'(o)), p the intact model's probabilities, [n_position]; in nats.

    Source: Kullback & Leibler 1951, section 2; as a measure of ablated models: Conmy et al. 2023.
    """
    before, after = case.intact.log_shares, outcome.log_shares
    share = np.exp(before)
    with np.errstate(invalid="ignore"):
        terms = np.where(share > 0, share * (before - after), 0)
    total: Array = terms.sum(-1)
    return total


@EFFECTS.add(
    about=to_say("share of places whose most probable output is another"),
    applies=lambda case: case.has_logits,
)
def changed(case: Case, outcome: Outcome) -> Array:
    """1 where the most probable output is another than the intact model's, else 0;
    [n_position]."""
    return np.asarray(case.intact.best != outcome.best, np.float64)


@EFFECTS.add(about=to_say("share of places that are right"), applies=_is_known, falls=True)
def accuracy(case: Case, outcome: Outcome) -> Array:
    """1 where the most probable output is right, else 0; [n_known], the positions where it is known
    what is right.

    Source: Michel et al. 2019, section 3, who take heads out and measure accuracy or BLEU.
    """
    assert case.right is not None
    known = case.right >= 0
    return np.asarray((outcome.best == case.right)[known], np.float64)


@EFFECTS.add(
    about=to_say(
        "share of texts that are right at every place, as greedy decoding would write them"
    ),
    applies=lambda case: _is_known(case) and case.whole,
    falls=True,
)
def exact(case: Case, outcome: Outcome) -> Array:
    """1 if all known positions are right, else 0; [1]."""
    return np.array([float(accuracy(case, outcome).all())])


@EFFECTS.add(about=to_say("probability of the watched output"), applies=_is_watched, falls=True)
def probability(case: Case, outcome: Outcome) -> Array:
    """p'(o) of the watched outputs, [n_watched]. Source: Meng et al. 2022, section 2.1."""
    assert case.watched is not None
    return np.exp(_chosen(outcome.log_shares, case.watched))


@EFFECTS.add(about=to_say("logit of the watched output"), applies=_is_watched, falls=True)
def logit(case: Case, outcome: Outcome) -> Array:
    """The logits of the watched outputs, [n_watched]. Source: Heimersheim & Nanda 2024, section 4,
    on logits beside probabilities."""
    assert case.watched is not None
    return _chosen(outcome.values, case.watched)


@EFFECTS.add(
    about=to_say("‖change of the last hidden state‖ / ‖that state‖, mean over tokens"),
    applies=lambda case: not case.has_logits,
)
def distance(case: Case, outcome: Outcome) -> Array:
    """‖h' - h‖ / ‖h‖ of the last hidden states h of the intact model, [n_position]: the relative
    error of Golub & Van Loan 2013, section 2.2.3."""
    before, after = case.intact.values, outcome.values
    length = np.linalg.norm(before, axis=-1)
    moved: Array = np.linalg.norm(after - before, axis=-1) / np.maximum(length, TINY)
    return moved


@EFFECTS.add(
    about=to_say("1 - cosine of the last hidden state before and after, mean over tokens"),
    applies=lambda case: not case.has_logits,
)
def turn(case: Case, outcome: Outcome) -> Array:
    """1 - cos(h, h') of the last hidden states, [n_position], as ‖u' - u‖² / 2 of the unit
    vectors u and u', which is exactly 0 where nothing changed."""
    before, after = (_unit(each.values) for each in (case.intact, outcome))
    return np.asarray(((after - before) ** 2).sum(-1) / 2)


def _unit(states: Array) -> Array:
    return np.asarray(states / np.maximum(np.linalg.norm(states, axis=-1, keepdims=True), TINY))


def _chosen(values: Array, outputs: Array) -> Array:
    """Of values [n_position, n_output] one a position, [n_chosen]; outputs below 0 are left out."""
    known = outputs >= 0
    picked: Array = values[known, outputs[known]]
    return picked
