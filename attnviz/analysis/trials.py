"""Heads of a model taken out and its output measured: one at a time, all but one, more and more."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

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
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.memory import available_memory
from attnviz.models.edit.ablate import Ablation, Mean, Scaled, ablate, mean_contexts, uniform, zero
from attnviz.models.model import Model
from attnviz.models.run.evaluator import Evaluator
from attnviz.models.run.probe import Probe, answer_name, chooses, output_name
from attnviz.nn.transformer import Transformer
from attnviz.nn.types import Array
from attnviz.registry import nearest
from attnviz.trace.selection import Head, Selection

LONG_WORK = 10.0
"""Seconds of work that are announced."""

KINDS = {
    "zero": to_say("a head's context is 0"),
    "mean": to_say("a head's context is what it is on average"),
    "uniform": to_say("a head's weights are spread evenly over the keys that a query sees"),
}
"""What becomes of a head."""


@dataclass(frozen=True)
class Plan:
    """Which heads are taken out, how, and which trials are made."""

    heads: tuple[Head, ...]
    how: Ablation
    effect: str = ""
    """What heads are ranked by; empty for the first that can be measured."""
    alone: bool = True
    """Whether each head is also left alone in its attention."""
    pruning: bool = True
    exact: Callable[[], Model] | None = None
    """The model in double precision, if heads are ranked by the gradient."""
    seed: int = 0
    """Of the random order of pruning."""

    @property
    def passes_per_text(self) -> int:
        n_head = len(self.heads)
        n_curve = 0
        if self.pruning:
            n_curve = len(steps(n_head)) * (2 if self.exact is None else 3)
        n_gradient = 0 if self.exact is None else 2 * n_head
        return 1 + n_head * (1 + self.alone) + n_gradient + n_curve


class Work:
    """Counts passes for a bar, and says beforehand if they will take long."""

    def __init__(
        self,
        progress: Callable[[int, int], None] | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._progress, self._announce = progress, announce
        self._done = self._total = 0

    def begin(self, n_pass: int, seconds: float) -> None:
        """`seconds` is what one pass took."""
        self._total = n_pass
        if self._announce is not None and n_pass * seconds > LONG_WORK:
            self._announce(f"{n_pass} passes: this will take about {n_pass * seconds:.0f} seconds")

    def done(self, output: Array) -> Array:
        """Count the pass that gave this."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, max(self._done, self._total))
        return output


class Cases:
    """Every text with what runs the model on it; what is computed of a text is kept only until the
    next one."""

    def __init__(self, model: Model, how: Ablation, probes: Sequence[Probe], work: Work) -> None:
        self._model, self._probes, self._work = model, probes, work

        @cache
        def changed(heads: tuple[Head, ...]) -> Transformer:
            return ablate(model.transformer, heads, how)

        self._changed = changed

    def __iter__(self) -> Iterator[tuple[Case, Without]]:
        """Each text with its output without some heads."""
        for probe, evaluate in self._evaluators():

            def without(heads: Collection[Head], evaluate: Evaluator = evaluate) -> Array:
                return self._work.done(evaluate(self._changed(tuple(heads))))

            yield intact_case(self._model, probe, evaluate), without

    def weighed(self, heads: Sequence[Head]) -> Iterator[tuple[Case, Weighed]]:
        """Each text with its output as a function of a factor on the context of each head."""
        for probe, evaluate in self._evaluators():

            def weighed(openings: Array, evaluate: Evaluator = evaluate) -> Array:
                factors = {h: float(x) for h, x in zip(heads, openings, strict=True) if x != 1}
                changed = ablate(self._model.transformer, list(factors), Scaled(factors))
                return self._work.done(evaluate(changed))

            yield intact_case(self._model, probe, evaluate), weighed

    def _evaluators(self) -> Iterator[tuple[Probe, Evaluator]]:
        for probe in self._probes:
            yield probe, Evaluator(self._model, probe)


def selected_heads(model: Model, selection: Selection) -> tuple[Head, ...]:
    """The heads that can be taken out.

    Raises:
        AttnvizError: there are none, or none of this name.
    """
    sites = model.transformer.sites()
    if not sites:
        raise AttnvizError(
            f"{model.name} has no attention: no heads to take out", "try `-m tagger`"
        )
    selection.check(sites)
    return tuple(Head(site.id, head) for site in sites for head in selection.heads(site))


def ablation_of(kind: str, model: Model, probes: Sequence[Probe]) -> Ablation:
    """What is done to a head; for `mean`, contexts are averaged over the texts of `probes`."""
    if kind == "mean":
        return Mean(mean_contexts(model.transformer, [probe.inputs for probe in probes]))
    return zero if kind == "zero" else uniform


def run_trials(model: Model, probes: Sequence[Probe], plan: Plan, work: Work) -> Ablations:
    """All trials of a plan, on all texts.

    Raises:
        AttnvizError: the effect cannot be measured, or the output is not a number.
    """
    model.keep_weights((available_memory() or 0) // 2)
    cases = Cases(model, plan.how, probes, work)
    first, _ = next(iter(cases))
    start = time.monotonic()
    next(iter(cases))  # once more, as the first pass is slower than those to come
    seconds = time.monotonic() - start
    effects = _effects(first, plan.effect)
    work.begin(len(probes) * plan.passes_per_text, seconds)

    def measured(trials: Sequence[Collection[Head]]) -> Array:
        return measure(cases, trials, effects)

    ablations = _one_by_one(model, plan, effects, measured)
    if plan.exact is not None:
        exact = Cases(plan.exact(), plan.how, probes, work)
        slopes = importance(exact.weighed(plan.heads), len(plan.heads))
        ablations = replace(ablations, importance=slopes)
    if not plan.pruning:
        return ablations
    return replace(
        ablations,
        prunings=tuple(
            prune(name, about, [plan.heads[i] for i in order], measured)
            for name, about, order in _orders(ablations, plan.seed)
        ),
    )


def intact_case(model: Model, probe: Probe, evaluate: Evaluator) -> Case:
    """A probe with the intact model's answer.

    Raises:
        AttnvizError: the answer is not a number.
    """
    output = evaluate(model.transformer)
    if not np.isfinite(output.max(-1)).all():  # -inf only bars an output
        model.check_weights()
        raise AttnvizError(
            f"the output of {model.name} is not a number: nothing can be measured against it",
            "look at the input: attnviz run",
        )
    intact = Outcome(output)
    if not chooses(model):
        return Case(intact, has_logits=False)
    watched = None
    if probe.watched is not None:
        answers = intact.best if probe.choice is None else probe.choice
        watched = np.where(probe.watched, answers, -1)
    return Case(intact, right=probe.right, watched=watched, whole=probe.all_or_nothing)


def changed_answers(
    model: Model, how: Ablation, probe: Probe, heads: Sequence[Head]
) -> dict[Head, list[str]]:
    """What the model says of one text without each head, where it is something else:
    `saw VERB→NOUN`; of models that write, what comes next, without the token before it."""
    if not chooses(model):
        return {}
    evaluate = Evaluator(model, probe)
    watched = probe.watched
    positions = np.arange(len(probe.positions)) if watched is None else np.flatnonzero(watched)
    before = evaluate(model.transformer).argmax(-1)
    changes = {}
    for head in heads:
        after = evaluate(ablate(model.transformer, [head], how)).argmax(-1)
        changes[head] = [
            _change(model, probe, int(i), int(before[i]), int(after[i]))
            for i in positions
            if before[i] != after[i]
        ]
    return changes


def watched_output(model: Model, probe: Probe) -> str:
    """The output whose probability is reported, where it is one; else empty."""
    if not chooses(model) or probe.watched is None:
        return ""
    if probe.choice is not None:
        return answer_name(model, probe, probe.choice)
    positions = np.flatnonzero(probe.watched)
    if len(positions) != 1:
        return ""
    answer = Evaluator(model, probe)(model.transformer)[positions[0]]
    return answer_name(model, probe, int(answer.argmax()))


def _change(model: Model, probe: Probe, position: int, before: int, after: int) -> str:
    names = (answer_name(model, probe, output) for output in (before, after))
    change = "→".join(names)
    if model.task == "span":
        return f"{('start', 'end')[position]} {change}"
    if model.problem == "several":
        return f"{output_name(model, position)} {change}"
    if model.task != "tag":
        return change
    return f"{probe.streams['source'].labels[probe.positions[position]]} {change}"


def _one_by_one(
    model: Model,
    plan: Plan,
    effects: Sequence[str],
    measured: Callable[[Sequence[Collection[Head]]], Array],
) -> Ablations:
    """The intact model, without each head, and if planned with each alone in its attention."""
    n_head = {site.id: site.n_head for site in model.transformer.sites()}
    trials: list[Collection[Head]] = [(), *((head,) for head in plan.heads)]
    if plan.alone:
        trials += [others_of_its_attention(head, n_head[head.id]) for head in plan.heads]
    intact, without, alone = np.split(measured(trials), [1, 1 + len(plan.heads)])
    return Ablations(
        heads=plan.heads,
        effects=tuple(effects),
        intact=intact[0],
        without=without,
        alone=alone if plan.alone else None,
    )


def _orders(ablations: Ablations, seed: int) -> list[tuple[str, str, list[int]]]:
    """The orders in which heads are taken out: name, what comes first, numbers of heads."""
    orders = [(to_say("by effect"), to_say("the least missed first"), ablations.by_harm()[::-1])]
    if ablations.importance is not None:
        order = ablations.by_importance()[::-1]
        orders.append((to_say("by importance"), to_say("the least important first"), order))
    drawn = np.random.default_rng(seed).permutation(len(ablations.heads))
    return [
        *orders,
        (to_say("random order"), to_say("seed {seed}", seed=seed), [int(i) for i in drawn]),
    ]


def _effects(first: Case, chosen: str) -> list[str]:
    """What can be measured, what was chosen before all else."""
    known = applicable(first)
    if chosen and chosen not in known:
        raise AttnvizError(f"--effect: {chosen!r} cannot be measured here", nearest(chosen, known))
    return sorted(known, key=lambda name: name != chosen)
