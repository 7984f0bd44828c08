"""The trials of `attnviz ablate`: the model's passes, counted and announced, and what they give."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from attnviz.analysis.ablation import (
    Ablations,
    Weighed,
    Without,
    importance,
    measure,
    others_of_its_attention,
    prune,
    steps,
)
from attnviz.analysis.effects import Case, Outcome, applicable
from attnviz.cli.emit import talk
from attnviz.errors import AttnvizError
from attnviz.models.edit.ablate import Ablation, Scaled, ablate
from attnviz.models.model import Model
from attnviz.models.run.evaluator import Evaluator
from attnviz.models.run.memory import available_memory
from attnviz.models.run.probe import Probe
from attnviz.nn.types import Array
from attnviz.registry import nearest
from attnviz.trace.selection import Head

if TYPE_CHECKING:
    from attnviz.nn.transformer import Transformer

PATIENCE = 10.0
"""Seconds of work that are announced."""


class Wanted(NamedTuple):
    """What of the ablations is asked for."""

    effect: str
    """What heads are ranked by; empty for the first that can be measured."""
    alone: bool
    pruning: bool
    by_importance: Callable[[], Model] | None
    """The model in double precision, if the gradient is wanted."""
    seed: int


class Work:
    """Counts passes for a bar, and says beforehand if they will take long."""

    def __init__(self, bar: Callable[[int, int], None] | None) -> None:
        self._bar, self._done, self._total = bar, 0, 0

    def announce(self, n_pass: int, seconds: float) -> None:
        """`seconds` is what one pass took."""
        self._total = n_pass
        if n_pass * seconds > PATIENCE:
            talk(f"{n_pass} passes: this will take about {n_pass * seconds:.0f} seconds")

    def done(self, output: Array) -> Array:
        """Count the pass that gave this."""
        self._done += 1
        if self._bar is not None:
            self._bar(self._done, max(self._done, self._total))
        return output


class Texts:
    """Every text with its passes; of one text at a time anything is kept."""

    def __init__(self, model: Model, how: Ablation, questions: Sequence[Probe], work: Work) -> None:
        self._model, self._questions, self._work = model, questions, work

        @cache
        def changed(heads: tuple[Head, ...]) -> Transformer:
            return ablate(model.transformer, heads, how)

        self._changed = changed

    def __iter__(self) -> Iterator[tuple[Case, Without]]:
        for question, passes in self._passes():

            def without(heads: Collection[Head], passes: Evaluator = passes) -> Array:
                return self._work.done(passes(self._changed(tuple(heads))))

            yield case(self._model, question, passes), without

    def weighed(self, heads: Sequence[Head]) -> Iterator[tuple[Case, Weighed]]:
        """The same, with a factor on the context of each of these heads."""
        for question, passes in self._passes():

            def weighed(openings: Array, passes: Evaluator = passes) -> Array:
                factors = {h: float(x) for h, x in zip(heads, openings, strict=True) if x != 1}
                changed = ablate(self._model.transformer, list(factors), Scaled(factors))
                return self._work.done(passes(changed))

            yield case(self._model, question, passes), weighed

    def _passes(self) -> Iterator[tuple[Probe, Evaluator]]:
        for question in self._questions:
            yield question, Evaluator(self._model, question)


def case(model: Model, question: Probe, passes: Evaluator) -> Case:
    """A question with the whole model's answer."""
    output = passes(model.transformer)
    if not np.isfinite(output.max(-1)).all():  # -inf only bars an output
        model.check_weights()
        raise AttnvizError(
            f"the output of {model.name} is not a number: nothing can be measured against it",
            "look at the input: attnviz run",
        )
    intact = Outcome(output)
    if not model.task:
        return Case(intact, has_logits=False)
    watched = None
    if question.watched is not None:
        answers = intact.best if question.choice is None else question.choice
        watched = np.where(question.watched, answers, -1)
    return Case(intact, right=question.right, watched=watched, whole=question.all_or_nothing)


def run_trials(
    model: Model,
    how: Ablation,
    questions: Sequence[Probe],
    heads: Sequence[Head],
    wanted: Wanted,
    bar: Callable[[int, int], None] | None,
) -> Ablations:
    """All that is wanted of the heads."""
    model.keep_weights((available_memory() or 0) // 2)
    work = Work(bar)
    texts = Texts(model, how, questions, work)
    first, _ = next(iter(texts))
    start = time.monotonic()
    next(iter(texts))  # once more, as the first pass is slower than those to come
    seconds = time.monotonic() - start
    effects = _effects(first, wanted.effect)
    work.announce(len(questions) * _passes_per_text(len(heads), wanted), seconds)

    def measured(trials: Sequence[Collection[Head]]) -> Array:
        return measure(texts, trials, effects)

    found = _one_by_one(model, heads, effects, wanted.alone, measured)
    if wanted.by_importance is not None:
        exact = Texts(wanted.by_importance(), how, questions, work)
        found = replace(found, importance=importance(exact.weighed(heads), len(heads)))
    if not wanted.pruning:
        return found
    return replace(
        found,
        prunings=tuple(
            prune(name, about, [heads[i] for i in order], measured)
            for name, about, order in _orders(found, wanted.seed)
        ),
    )


def _one_by_one(
    model: Model,
    heads: Sequence[Head],
    effects: Sequence[str],
    alone: bool,
    measured: Callable[[Sequence[Collection[Head]]], Array],
) -> Ablations:
    """The whole model, without each head, and if wanted with each alone in its attention."""
    n_head = {site.id: site.n_head for site in model.transformer.sites()}
    trials: list[Collection[Head]] = [(), *((head,) for head in heads)]
    if alone:
        trials += [others_of_its_attention(head, n_head[head.id]) for head in heads]
    intact, without, kept = np.split(measured(trials), [1, 1 + len(heads)])
    return Ablations(
        heads=tuple(heads),
        effects=tuple(effects),
        intact=intact[0],
        without=without,
        alone=kept if alone else None,
    )


def _orders(found: Ablations, seed: int) -> list[tuple[str, str, list[int]]]:
    """The orders in which heads are taken out: name, what comes first, numbers of heads."""
    orders = [("by effect", "the least missed first", found.by_harm()[::-1])]
    if found.importance is not None:
        orders.append(("by importance", "the least important first", found.by_importance()[::-1]))
    drawn = np.random.default_rng(seed).permutation(len(found.heads))
    return [*orders, ("random order", f"seed {seed}", [int(i) for i in drawn])]


def _effects(first: Case, chosen: str) -> list[str]:
    """What can be measured, what was chosen before all else."""
    known = applicable(first)
    if chosen and chosen not in known:
        raise AttnvizError(f"--effect: {chosen!r} cannot be measured here", nearest(chosen, known))
    return sorted(known, key=lambda name: name != chosen)


def _passes_per_text(n_head: int, wanted: Wanted) -> int:
    n_curve = 0
    if wanted.pruning:
        n_curve = len(steps(n_head)) * (2 if wanted.by_importance is None else 3)
    n_gradient = 0 if wanted.by_importance is None else 2 * n_head
    return 1 + n_head * (1 + wanted.alone) + n_gradient + n_curve
