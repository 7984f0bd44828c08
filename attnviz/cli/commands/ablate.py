"""Take heads out, and measure what the output loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.loading import load
from attnviz.cli.options import ModelInput, Selected, TextInput
from attnviz.cli.progress import progress
from attnviz.cli.spread import one_of, set_options, spread
from attnviz.errors import AttnvizError
from attnviz.language import say

if TYPE_CHECKING:
    from attnviz.models.model import Model
    from attnviz.models.run.probe import Probe
    from attnviz.trace.record import Trace

ORDER = 80

app = typer.Typer(add_completion=False)

TRIALS = ("one", "alone", "pruning")

EXACT = {"dtype": "float64"}
"""What the model is loaded with for differences as small as those of a gradient."""


@dataclass(frozen=True)
class TrialOptions:
    """What is done to heads, and by what they are ranked."""

    data: Annotated[
        Path | None,
        typer.Option(
            help="Examples instead of a text, one a line: SOURCE<TAB>TARGET of models that write, "
            'JSON {"text": …, "tags": […]} of taggers'
        ),
    ] = None
    kind: Annotated[str, typer.Option(help="What becomes of a head: zero, mean or uniform")] = (
        "zero"
    )
    reference: Annotated[
        Path | None,
        typer.Option(help="--kind mean: texts to average over, one a line (default: the text)"),
    ] = None
    effect: Annotated[
        str, typer.Option(help="By what heads are ranked and drawn (default: the first measured)")
    ] = ""
    by: Annotated[
        str,
        typer.Option(
            help="What heads are ranked by: effect, or importance, the gradient of the loss"
        ),
    ] = "effect"
    token: Annotated[
        str | None,
        typer.Option(help="The output whose probability is told (default: the model's own)"),
    ] = None
    trials: Annotated[
        str, typer.Option(help="one: each head out; alone: all others of its attention; pruning")
    ] = ",".join(TRIALS)
    seed: Annotated[int, typer.Option(help="Of the random order that pruning is held against")] = 0
    top: Annotated[int, typer.Option(help="How many heads the table has")] = 12

    def __post_init__(self) -> None:
        from attnviz.analysis.trials import KINDS

        one_of("kind", self.kind, tuple(KINDS))
        one_of("by", self.by, ("effect", "importance"))
        for name in self.chosen:
            one_of("trials", name, TRIALS)
        if self.reference is not None and self.kind != "mean":
            raise AttnvizError(
                f"--reference is for --kind mean, not for {self.kind}", "leave it out"
            )
        for name, number in (("top", self.top), ("seed", self.seed)):
            if number < 0:
                raise AttnvizError(f"--{name}: expected a number from 0, got {number}", "--top 12")

    @property
    def chosen(self) -> list[str]:
        return self.trials.replace(" ", "").split(",")


@app.command(cls=Command)
@spread
def ablate(
    ctx: typer.Context,
    options: TrialOptions,
    texts: TextInput,
    selected: Selected,
    model: ModelInput,
    out: FigureOptions,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="The text, - for stdin; an image for a vision model.",
            metavar="[TEXT]...",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Take heads out, and measure what the model's output loses: one head at a time, all but one
    of each attention, and more and more in the order of their importance.

    Head 2 of layer 0 of `induction` looks at the previous token. Without it, the model cannot go
    on with what it has read before; see L0.H2 in the first of these:

    attnviz ablate "abcdefghabcdefgh" -m induction
    attnviz ablate "I saw a saw" -m tagger --kind uniform
    attnviz ablate --data held-out.jsonl -m tagger --by importance
    """
    from attnviz.analysis.trials import (
        Plan,
        Work,
        ablation_of,
        changed_answers,
        run_trials,
        selected_heads,
        watched_output,
    )
    from attnviz.cli.inputs import one_source
    from attnviz.views.ablation import ablation_views, setup_lines
    from attnviz.views.attention import header

    text = one_source(words)
    loaded = load(model)
    heads = selected_heads(loaded, selected.selection)
    probes = _probes(loaded, text, texts, options)
    averaged = _averaged(loaded, probes, options.reference)
    plan = Plan(
        heads=heads,
        how=ablation_of(options.kind, loaded, averaged),
        effect=options.effect,
        alone="alone" in options.chosen,
        pruning="pruning" in options.chosen,
        exact=None if options.by == "effect" else partial(load, model, **EXACT),
        seed=options.seed,
    )
    with progress("passes") as bar:
        ablations = run_trials(loaded, probes, plan, Work(bar, talk))
    changes, watched = {}, ""
    if options.data is None:
        missed = [ablations.heads[i] for i in ablations.ranking()[: options.top]]
        changes = changed_answers(loaded, plan.how, probes[0], missed)
        watched = watched_output(loaded, probes[0])
    trace = replace(_trace(loaded, probes, out.wants_data), command=("attnviz", *ctx.obj))
    taken_out = _taken_out(options, len(averaged))
    setup = setup_lines(taken_out, len(probes), probes[0].about, watched)
    views = ablation_views(header(trace), ablations, setup, changes, options.top)
    emit([Report(views, ablations.manifest(trace, options.kind), ablations.arrays())], out)


def _probes(model: Model, text: str | None, texts: TextInput, options: TrialOptions) -> list[Probe]:
    """What is asked of the model: about one text, or about the examples of a file."""
    from attnviz.cli.inputs import check_known, named_file, read_input
    from attnviz.models.run.examples import read_examples
    from attnviz.models.run.probe import make_probe

    token = options.token
    if not texts.is_chat and (file := named_file(text)) is not None:
        raise AttnvizError(
            f"{file} holds arrays: heads can only be taken out of a model that runs",
            "give the text itself, and -m MODEL",
        )
    if options.data is None:
        read = read_input(None if text is None else [text], texts.ids, texts)
        probe = make_probe(model, read, pair=texts.second, target=texts.target, token=token)
        check_known(model, probe.prepared.streams["source"])
        return [probe]
    if text is not None or token is not None or set_options(texts):
        raise AttnvizError("--data holds the texts and what is right", "give it alone")
    return read_examples(model, options.data)


def _averaged(model: Model, probes: list[Probe], reference: Path | None) -> list[Probe]:
    """The texts over which --kind mean averages."""
    from attnviz.models.run.examples import numbered_lines
    from attnviz.models.run.probe import make_probe

    if reference is None:
        return probes
    return [make_probe(model, line) for _, line in numbered_lines(reference)]


def _taken_out(options: TrialOptions, n_averaged: int) -> str:
    from attnviz.analysis.trials import KINDS

    about = say("{kind} ablation: {how}", kind=options.kind, how=say(KINDS[options.kind]))
    if options.kind != "mean":
        return about
    if options.reference is not None:
        file = options.reference
        over = say("over all positions of the {n} texts of {file}", n=n_averaged, file=file)
    elif n_averaged == 1:
        over = say("over all positions of the text")
    else:
        over = say("over all positions of the {n} texts", n=n_averaged)
    return f"{about}, {over}"


def _trace(model: Model, probes: Sequence[Probe], fingerprint: bool) -> Trace:
    """The model and the text, or the model alone if there are many, as a trace of no attention."""
    from attnviz.models.run.forward import describe, forward
    from attnviz.trace.record import Trace

    if len(probes) > 1:
        n_token = max(len(tokens) for q in probes for tokens in q.streams.values())
        return Trace(model=describe(model, fingerprint, n_token), streams={}, records=())
    return forward(probes[0].prepared, fingerprint=fingerprint)
