"""What a model loses without some of its heads: one at a time, all but one, more and more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnviz.analysis.effects import EFFECTS, Case, Outcome
from attnviz.analysis.saliency import gradient
from attnviz.nn.types import Array, brief
from attnviz.trace.record import Trace
from attnviz.trace.selection import Head

Without = Callable[[Collection[Head]], Array]
"""One text's output [n_position, n_output] without some heads."""

Weighed = Callable[[Array], Array]
"""One text's output with every head's context multiplied by a number, [n_head]."""

MAX_STEPS = 64
"""Of a curve: more heads than that are taken out several at a time."""


@dataclass(frozen=True)
class Pruning:
    """Heads taken out one after another, in some order."""

    name: str
    about: str
    """What comes first in the order."""
    order: tuple[Head, ...]
    counts: Array
    """[n_step]: how many are out."""
    values: Array
    """[n_step, n_effect]"""

    def __repr__(self) -> str:
        return brief(self)


@dataclass(frozen=True)
class Ablations:
    """What the heads of a model are worth to its output. All values are means over all texts."""

    heads: tuple[Head, ...]
    effects: tuple[str, ...]
    """Names in `EFFECTS`; the first one is what heads are ranked by."""
    intact: Array
    """[n_effect]: of the whole model."""
    without: Array
    """[n_head, n_effect]: without this one."""
    alone: Array | None = None
    """[n_head, n_effect]: without all others of its attention."""
    importance: Array | None = None
    """[n_head]: E|∂L/∂ξ|."""
    prunings: tuple[Pruning, ...] = ()

    def __repr__(self) -> str:
        return brief(self)

    def harm(self, values: Array) -> Array:
        """[…, n_effect] -> the same, above 0 where the model got worse."""
        columns = [
            EFFECTS[name].harm(values[..., i], self.intact[i])
            for i, name in enumerate(self.effects)
        ]
        return np.stack(columns, -1)

    def shares(self) -> Array:
        """[n_head]: of the sum of all heads' harm; 0 for heads that do none."""
        harm = np.maximum(self.harm(self.without)[:, 0], 0)
        total = harm.sum()
        shares: Array = harm / total if total > 0 else harm
        return shares

    def by_harm(self) -> list[int]:
        """Numbers of heads, the one that is missed most first; ties are settled by the other
        effects, then by the order in the model."""
        harm = self.harm(self.without)
        return sorted(range(len(self.heads)), key=lambda i: (*-harm[i], i))

    def by_importance(self) -> list[int]:
        """Numbers of heads, the most important first."""
        assert self.importance is not None
        return [int(i) for i in np.argsort(-self.importance, kind="stable")]

    def ranking(self) -> list[int]:
        """Numbers of heads by their importance, where it was taken, else by their harm."""
        return self.by_harm() if self.importance is None else self.by_importance()

    def manifest(self, trace: Trace, kind: str) -> dict[str, Any]:
        """What a file says besides the arrays; `trace` names the model, the text, the command."""
        return {
            "format": "attnviz-ablation",
            "version": 1,
            "model": trace.model.to_manifest(),
            "command": list(trace.command),
            "tokens": {name: list(stream.tokens) for name, stream in trace.streams.items()},
            "kind": kind,
            "effects": list(self.effects),
            "intact": [float(value) for value in self.intact],
            "heads": [str(head) for head in self.heads],
            "ranking": [str(self.heads[i]) for i in self.ranking()],
            "prunings": [
                {"name": one.name, "about": one.about, "order": [str(head) for head in one.order]}
                for one in self.prunings
            ],
        }

    def arrays(self) -> dict[str, Array]:
        """[n_head, n_effect] of single heads, [n_step, n_effect] of prunings."""
        arrays = {"without": self.without, "shares": self.shares()}
        if self.alone is not None:
            arrays["alone"] = self.alone
        if self.importance is not None:
            arrays["importance"] = self.importance
        for number, pruning in enumerate(self.prunings):
            arrays[f"prunings/{number}/counts"] = pruning.counts
            arrays[f"prunings/{number}/values"] = pruning.values
        return arrays


def others_of_its_attention(head: Head, n_head: int) -> tuple[Head, ...]:
    """All heads of an attention but one."""
    return tuple(Head(head.id, number) for number in range(n_head) if number != head.number)


def prune(
    name: str,
    about: str,
    order: Sequence[Head],
    measure: Callable[[Sequence[Collection[Head]]], Array],
) -> Pruning:
    """Take heads out in this order; `measure` gives the effects [n_trial, n_effect] of trials."""
    counts = steps(len(order))
    values = measure([order[:count] for count in counts])
    return Pruning(name, about, tuple(order), counts, values)


def steps(n_head: int) -> Array:
    """How many heads are out at each point of a curve, [n_step]: every number from 0 on, or 64 of
    them."""
    return np.unique(np.linspace(0, n_head, min(n_head, MAX_STEPS) + 1).round().astype(int))


def measure(
    texts: Iterable[tuple[Case, Without]],
    trials: Sequence[Collection[Head]],
    effects: Sequence[str],
) -> Array:
    """[n_trial, n_effect]: the mean effects of taking out the heads of each trial.

    Of every outcome only what the effects make of it is kept.
    """
    totals = np.zeros((len(trials), len(effects)))
    counts = np.zeros((len(trials), len(effects)))
    for case, without in texts:
        for number, heads in enumerate(trials):
            outcome = Outcome(without(heads))
            values = [EFFECTS[name].function(case, outcome) for name in effects]
            totals[number] += [each.sum() for each in values]
            counts[number] += [each.size for each in values]
    return totals / np.maximum(counts, 1)


def importance(texts: Iterable[tuple[Case, Weighed]], n_head: int) -> Array:
    """E|∂L/∂ξ_h| [n_head]: how steeply each text's loss changes as a head's context is multiplied
    by ξ_h, at ξ = 1; absolute for every text, then the mean over texts.

    Source: Michel et al. 2019, section 4.1, without their normalisation by layer; the slopes are
    central differences, which need no backward pass but double precision.
    """
    slopes = []
    for case, weighed in texts:

        def losses(openings: Array, case: Case = case, weighed: Weighed = weighed) -> Array:
            return np.array([case.loss(Outcome(weighed(opening))) for opening in openings])

        slopes.append(np.abs(gradient(losses, np.ones(n_head))))
    return np.asarray(np.mean(slopes, axis=0))
