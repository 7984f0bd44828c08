"""Show the attention of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.current import is_stopped
from attnviz.cli.emit import Report, emit, talk, trace_report
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.hints import next_commands
from attnviz.cli.inputs import (
    about,
    as_shown,
    first_head,
    prepare_text,
    read_inputs,
    run_prepared,
)
from attnviz.cli.loading import load
from attnviz.cli.options import LongInputs, ShowOptions, StackOptions, TextInput, Zoomed
from attnviz.cli.progress import progress
from attnviz.cli.spread import one_of, spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.models.model import Model
    from attnviz.nn.types import Array
    from attnviz.trace.answer import Answer
    from attnviz.trace.record import Record, Trace
    from attnviz.trace.selection import Selection
    from attnviz.trace.spans import Zoom
    from attnviz.views.kinds import View

ORDER = 10

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def run(
    ctx: typer.Context,
    show: ShowOptions,
    texts: TextInput,
    stack: StackOptions,
    zoomed: Zoomed,
    long: LongInputs,
    out: FigureOptions,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="A text, or several in quotes; - reads stdin.",
            metavar="[TEXT]...",
            show_default=False,
        ),
    ] = None,
    mask_file: Annotated[
        Path | None,
        typer.Option(help="A mask of your own, queries × keys: 1 = visible; or 0, -inf"),
    ] = None,
    mask_effect: Annotated[
        bool, typer.Option("--mask-effect", help="Weights without the mask, with it, difference")
    ] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="Walk through one head: q, k, v, … context")
    ] = False,
    keep: Annotated[
        str, typer.Option(help="Stages kept in a saved trace: q,k,v,scores,… or all")
    ] = "",
) -> None:
    """Show the attention of a text: its tokens, all heads, the most informative ones.

    attnviz run "I saw a saw"
    attnviz run "I saw a saw" -m MODEL_FOLDER -s L1.H0 --rows -1 -o attention.png
    """
    if steps and mask_effect:
        raise AttnvizError("--steps and --mask-effect are two views", "choose one")
    if show.words and (steps or mask_effect or keep):
        other = "--steps" if steps else "--mask-effect" if mask_effect else "--keep"
        raise AttnvizError(
            f"--words: only weights can be merged; {other} is about tokens", f"leave out {other}"
        )
    inputs = read_inputs(text, texts.ids, texts, only_texts=True)
    out.check(len(inputs))
    from attnviz.analysis.summaries import plan_summary
    from attnviz.nn.stages import STAGES, TERMS

    mask = None if mask_file is None else _mask(mask_file)
    model = load(stack)
    selection = show.selection
    stages = _stages(show.stage, steps, mask_effect, keep, STAGES, ("bias", *TERMS))
    is_whole = steps or mask_effect or show.words or bool({"scores", "logits"} & set(stages))
    if out.has_page and "scores" not in stages:
        stages = ("scores", *stages)
    vectors = _vectors(model, inputs) if texts.second is None else {}
    reports = []
    for content in inputs:
        prepared = prepare_text(
            model,
            content,
            texts,
            stages,
            selection,
            mask=mask,
            memory=None if is_whole else long.budget,
            summaries=plan_summary(zoomed.zoom),
        )
        if is_whole and prepared.plan.n_byte > long.budget:
            talk("warning: --memory is not kept to: only weights can be summarised, and scores, "
                 "logits, words and steps need whole matrices")  # fmt: skip
        if not show.words:
            zoomed.zoom.check(filter(selection.covers, prepared.plan.sites), prepared.streams)
        trace = run_prepared(
            prepared, fingerprint=out.wants_data, may_stop=not (steps or mask_effect)
        )
        if is_stopped():
            selection = selection.within(trace)
        if trace.answer is not None and vectors:
            others = {f"“{text}”": each for text, each in vectors.items() if text != content}
            trace = replace(trace, answer=trace.answer.compared(others))
        trace = as_shown(replace(trace, command=("attnviz", *ctx.obj)), show)
        report = _report(trace, selection, show, zoomed.zoom, out, steps, mask_effect)
        reports.append(report._replace(about=about(content)))
        if is_stopped():
            break
    said = [content if isinstance(content, str) else None for content in inputs]
    reports[-1] = reports[-1]._replace(next=next_commands(ctx.obj, said))
    emit(reports, out)


def _vectors(model: Model, inputs: Sequence[object]) -> dict[str, Answer]:
    """Of a model that compares texts, what it makes of several, by themselves."""
    texts = [each for each in inputs if isinstance(each, str)]
    if model.task != "embed" or len(texts) < 2:
        return {}
    from attnviz.models.run.answer import embed
    from attnviz.models.run.inputs import read_text

    return {text: embed(model, read_text(model, text)) for text in texts}


def _report(
    trace: Trace,
    selection: Selection,
    show: ShowOptions,
    zoom: Zoom,
    out: FigureOptions,
    steps: bool,
    mask_effect: bool,
) -> Report:
    from attnviz.views.attention import SCALES, attention_views

    if steps or mask_effect:
        from attnviz.views.naming import pictures

        record, head = first_head(trace, selection, masked=mask_effect)
        views = _one_head(trace, record, head, steps, zoom)
        return trace_report(trace, views, pictures(views))
    by: Any = one_of("scale", show.scale, SCALES)
    with progress("heads") as bar:
        views = attention_views(
            trace,
            selection,
            top=show.heads(out),
            stage=show.stage,
            by=by,
            stats=show.stats,
            progress=bar,
            every_head=out.has_page,
            zoom=zoom,
        )
    if out.plot is None:
        return trace_report(trace, views)
    from attnviz.views.figure import head_pictures

    return trace_report(trace, views, head_pictures(trace, selection, show.stage, by, zoom))


def _one_head(trace: Trace, record: Record, head: int, steps: bool, zoom: Zoom) -> list[View]:
    from attnviz.views.steps import mask_effect_views, step_views

    if steps:
        return step_views(trace, record, head, zoom)
    if not record.site.mask:
        raise AttnvizError(
            f"{record.id} has no mask, so --mask-effect has nothing to show",
            "--mask causal, for example",
        )
    return mask_effect_views(trace, record, head, zoom)


def _stages(
    stage: str,
    steps: bool,
    mask_effect: bool,
    keep: str,
    known: tuple[str, ...],
    added: tuple[str, ...],
) -> tuple[str, ...]:
    """What has to be kept for what is asked for; `added` is what not every attention has."""
    stages = {"weights", one_of("stage", stage, ("weights", "scores", "logits"))}
    if steps:
        stages |= {*known, *added}
    if mask_effect:
        stages |= {"scores", "bias"}
    for name in filter(None, keep.replace(" ", "").split(",")):
        stages |= set(known) if name == "all" else {one_of("keep", name, (*known, "all"))}
    return tuple(name for name in (*known, *added) if name in stages)


def _mask(path: Path) -> Array:
    from attnviz.cli.masks import read_mask

    return read_mask(path)
