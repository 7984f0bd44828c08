"""Take heads out, and measure what the output loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.loading import load
from attnviz.cli.options import ModelInput, OutputOptions, Selected, TextInput
from attnviz.cli.progress import progress
from attnviz.cli.spread import one_of, set_options, spread
from attnviz.errors import AttnvizError
from attnviz.trace.selection import Head, Selection

if TYPE_CHECKING:
    from attnviz.analysis.ablation import Ablations
    from attnviz.models.edit.ablate import Ablation
    from attnviz.models.model import Model
    from attnviz.models.run.probe import Probe
    from attnviz.nn.types import Array
    from attnviz.trace.record import Trace
    from attnviz.views.kinds import Line

ORDER = 80

app = typer.Typer(add_completion=False)

KINDS = {
    "zero": "a head's context is 0",
    "mean": "a head's context is what it is on average",
    "uniform": "a head's weights are spread evenly over the keys that a query sees",
}

TRIALS = ("one", "alone", "pruning")

EXACT = {"dtype": "float64"}
"""What the model is loaded with for differences as small as those of a gradient."""

SAID = 4
"""Changed outputs that are told of a head."""


@app.command(cls=Command)
@spread
def ablate(
    ctx: typer.Context,
    texts: TextInput,
    selected: Selected,
    model: ModelInput,
    out: OutputOptions,
    text: Annotated[
        str | None,
        typer.Argument(
            help="The text, - for stdin; an image for a vision model.", show_default=False
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Examples instead of a text, one a line: SOURCE<TAB>TARGET of models that write, "
            'JSON {"text": …, "tags": […]} of taggers'
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="What becomes of a head: zero, mean or uniform")
    ] = "zero",
    reference: Annotated[
        Path | None,
        typer.Option(help="--kind mean: texts to average over, one a line (default: the text)"),
    ] = None,
    effect: Annotated[
        str, typer.Option(help="By what heads are ranked and drawn (default: the first measured)")
    ] = "",
    by: Annotated[
        str,
        typer.Option(
            help="What heads are ranked by: effect, or importance, the gradient of the loss"
        ),
    ] = "effect",
    token: Annotated[
        str | None,
        typer.Option(help="The output whose probability is told (default: the model's own)"),
    ] = None,
    trials: Annotated[
        str, typer.Option(help="one: each head out; alone: all others of its attention; pruning")
    ] = ",".join(TRIALS),
    seed: Annotated[int, typer.Option(help="Of the random order that pruning is held against")] = 0,
    top: Annotated[int, typer.Option(help="How many heads the table has")] = 12,
) -> None:
    """Take heads out, and measure what the model's output loses: one head at a time, all but one
    of each attention, and more and more in the order of their importance.

    Head 2 of layer 0 of `induction` looks at the previous token. Without it, the model cannot go
    on with what it has read before; see L0.H2 in the first of these:

    attnviz ablate "abcdefghabcdefgh" -m induction
    attnviz ablate "I saw a saw" -m tagger --kind uniform
    attnviz ablate --data held-out.jsonl -m tagger --by importance
    """
    from attnviz.cli.trials import Wanted, run_trials
    from attnviz.views.ablation import ablation_views
    from attnviz.views.attention import header
    from attnviz.views.kinds import Line

    one_of("kind", kind, tuple(KINDS))
    one_of("by", by, ("effect", "importance"))
    chosen = {one_of("trials", name, TRIALS) for name in trials.replace(" ", "").split(",")}
    if reference is not None and kind != "mean":
        raise AttnvizError(f"--reference is for --kind mean, not for {kind}", "leave it out")
    for name, number in (("top", top), ("seed", seed)):
        if number < 0:
            raise AttnvizError(f"--{name}: expected a number from 0, got {number}", "--top 12")
    selection = selected.selection
    loaded = load(model)
    heads = _heads(loaded, selection)
    questions = _questions(loaded, text, texts, token, data)
    how, what = _kind(loaded, kind, reference, questions)
    asked = Wanted(
        effect=effect,
        alone="alone" in chosen,
        pruning="pruning" in chosen,
        by_importance=None if by == "effect" else partial(load, model, **EXACT),
        seed=seed,
    )
    with progress("passes") as bar:
        found = run_trials(loaded, how, questions, heads, asked, bar)
    said = _said(loaded, how, questions[0], found, top) if data is None else {}
    trace = replace(_trace(loaded, questions, out.wants_data), command=("attnviz", *ctx.obj))
    told = _told(kind, what, questions)
    if data is None and (watched := _watched(loaded, questions[0])):
        told.append(Line(f"the watched output is {watched}", "", "note"))
    views = ablation_views(header(trace), found, told, said, top)
    emit([Report(views, _manifest(trace, found, kind), _arrays(found))], out)


def _heads(model: Model, selection: Selection) -> list[Head]:
    sites = model.transformer.sites()
    if not sites:
        raise AttnvizError(
            f"{model.name} has no attention: no heads to take out", "try `-m tagger`"
        )
    selection.check(sites)
    return [Head(site.id, head) for site in sites for head in selection.heads(site)]


def _questions(
    model: Model,
    text: str | None,
    texts: TextInput,
    token: str | None,
    data: Path | None,
) -> list[Probe]:
    from attnviz.cli.inputs import named_file, read_inputs
    from attnviz.models.run.examples import read_examples
    from attnviz.models.run.probe import make_probe

    if (file := named_file(text)) is not None:
        raise AttnvizError(
            f"{file} holds arrays: heads can only be taken out of a model that runs",
            "give the text itself, and -m MODEL",
        )
    if data is None:
        (given,) = read_inputs(None if text is None else [text], texts.ids)
        return [make_probe(model, given, pair=texts.second, target=texts.target, token=token)]
    if text is not None or token is not None or set_options(texts):
        raise AttnvizError("--data holds the texts and what is right", "give it alone")
    return read_examples(model, data)


def _kind(
    model: Model, kind: str, reference: Path | None, questions: Sequence[Probe]
) -> tuple[Ablation, str]:
    """The ablation, and what is averaged over if anything is."""
    from attnviz.models.edit.ablate import Mean, mean_contexts, uniform, zero

    if kind != "mean":
        return (zero if kind == "zero" else uniform), ""
    told = "the text" if len(questions) == 1 else f"the {len(questions)} texts"
    if reference is not None:
        from attnviz.models.run.examples import numbered_lines
        from attnviz.models.run.probe import make_probe

        questions = [make_probe(model, line) for _, line in numbered_lines(reference)]
        told = f"the {len(questions)} texts of {reference}"
    inputs = [question.inputs for question in questions]
    return Mean(mean_contexts(model.transformer, inputs)), f"over all positions of {told}"


def _trace(model: Model, questions: Sequence[Probe], fingerprint: bool) -> Trace:
    """The model and the text, or the model alone if there are many, as a trace of no attention."""
    from attnviz.models.run.forward import describe, forward
    from attnviz.trace.record import Trace

    if len(questions) > 1:
        n_token = max(len(tokens) for q in questions for tokens in q.streams.values())
        return Trace(model=describe(model, fingerprint, n_token), streams={}, records=())
    return forward(questions[0].prepared, fingerprint=fingerprint)


def _said(
    model: Model, how: Ablation, question: Probe, found: Ablations, top: int
) -> dict[Head, str]:
    """What the model says without each of the most missed heads, where it is another thing."""
    import numpy as np

    from attnviz.models.edit.ablate import ablate as take_out
    from attnviz.models.run.evaluator import Evaluator

    if not model.task:
        return {}
    passes = Evaluator(model, question)
    watched = question.watched
    places = np.arange(len(question.positions)) if watched is None else np.flatnonzero(watched)
    before = passes(model.transformer).argmax(-1)
    said = {}
    for head in (found.heads[i] for i in found.ranking()[:top]):
        after = passes(take_out(model.transformer, [head], how)).argmax(-1)
        others = [int(i) for i in places if before[i] != after[i]]
        texts = [_change(model, question, i, int(before[i]), int(after[i])) for i in others[:SAID]]
        said[head] = ", ".join(texts) + (" …" if len(others) > SAID else "")
    return said


def _watched(model: Model, question: Probe) -> str:
    """The output whose probability is told, where it is one."""
    import numpy as np

    from attnviz.models.run.evaluator import Evaluator
    from attnviz.models.run.probe import output_name

    if not model.task or question.watched is None:
        return ""
    if question.choice is not None:
        return output_name(model, question.choice)
    places = np.flatnonzero(question.watched)
    if len(places) != 1:
        return ""
    answer = Evaluator(model, question)(model.transformer)[places[0]]
    return output_name(model, int(answer.argmax()))


def _change(model: Model, question: Probe, place: int, before: int, after: int) -> str:
    """`saw VERB→NOUN`; of models that write, what comes next without the token before it."""
    from attnviz.models.run.probe import output_name

    change = f"{output_name(model, before)}→{output_name(model, after)}"
    if model.task != "tag":
        return change
    return f"{question.streams['source'].labels[question.positions[place]]} {change}"


def _told(kind: str, what: str, questions: Sequence[Probe]) -> list[Line]:
    from attnviz.views.kinds import Line

    lines = [Line(f"{kind} ablation: {KINDS[kind]}" + (f", {what}" if what else ""), "taken out")]
    if len(questions) > 1:
        lines.append(Line(f"{len(questions)} texts", "examples"))
    if questions[0].about:
        lines.append(Line(questions[0].about, "", "note"))
    return lines


def _manifest(trace: Trace, found: Ablations, kind: str) -> dict[str, Any]:
    return {
        "format": "attnviz-ablation",
        "version": 1,
        "model": dict(trace.model),
        "command": list(trace.command),
        "tokens": {name: list(stream.tokens) for name, stream in trace.streams.items()},
        "kind": kind,
        "effects": list(found.effects),
        "intact": [float(value) for value in found.intact],
        "heads": [str(head) for head in found.heads],
        "ranking": [str(found.heads[i]) for i in found.ranking()],
        "prunings": [
            {"name": each.name, "about": each.about, "order": [str(head) for head in each.order]}
            for each in found.prunings
        ],
    }


def _arrays(found: Ablations) -> dict[str, Array]:
    """[n_head, n_effect] of single heads, [n_step, n_effect] of prunings."""
    arrays = {"without": found.without, "shares": found.shares()}
    if found.alone is not None:
        arrays["alone"] = found.alone
    if found.importance is not None:
        arrays["importance"] = found.importance
    for number, pruning in enumerate(found.prunings):
        arrays[f"prunings/{number}/counts"] = pruning.counts
        arrays[f"prunings/{number}/values"] = pruning.values
    return arrays
