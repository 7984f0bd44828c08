"""Show which inputs reach which outputs through all layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from attnviz.cli.cells import parse_place
from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.inputs import (
    load_file,
    named_file,
    one_source,
    prepare_source,
    read_input,
    run_prepared,
)
from attnviz.cli.loading import load
from attnviz.cli.options import FileInput, LongInputs, Scale, StackOptions, TextInput
from attnviz.cli.progress import progress
from attnviz.cli.spread import one_of, set_options, spread
from attnviz.errors import AttnvizError
from attnviz.trace.selection import Selection

if TYPE_CHECKING:
    from attnviz.analysis.flow import TraceFlow
    from attnviz.models.run.prepare import Prepared
    from attnviz.tokens import Tokens
    from attnviz.trace.record import Trace

ORDER = 90

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def flow(
    ctx: typer.Context,
    texts: TextInput,
    stack: StackOptions,
    long: LongInputs,
    out: FigureOptions,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="A text, - for stdin, the file of a trace or of weights; an image for a vision "
            "model.",
            metavar="[TEXT|FILE]",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="rollout, of the weights; contributions, of weighted values")
    ] = "rollout",
    layer: Annotated[
        int | None, typer.Option(help="Up to this layer of the last stack (default: all)")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="List the inputs of this output, by position or name: 2 or saw"),
    ] = None,
    absolute: Annotated[
        bool,
        typer.Option(
            "--absolute", help="The bare product, also where a causal mask favours early tokens"
        ),
    ] = False,
    scale: Scale = "auto",
) -> None:
    """Follow the attention of all layers from the outputs back to the inputs.

    What it draws is a map of where attention could have carried something, no explanation of an
    answer.

    attnviz flow "I saw a saw"
    attnviz flow "I saw a saw" --method contributions --token 2
    attnviz flow trace.npz --layer 0
    """
    from attnviz.analysis.flow import METHODS, flow_of
    from attnviz.views.attention import SCALES, findings_text
    from attnviz.views.flow import flow_views
    from attnviz.views.naming import pictures

    one_of("method", method, METHODS)
    by: Any = one_of("scale", scale, SCALES)
    source = one_source(words)
    file = None if texts.is_chat else named_file(source)
    if file is not None:
        if set_options(texts, stack):
            raise AttnvizError(
                f"{file} holds a run that is done: it takes no model and no second text",
                "give the text itself",
            )
        trace = load_file(file, FileInput())
        result = flow_of(trace, method=method, last_layer=layer, absolute=absolute)
    else:
        ask = _Question(method, layer, token, absolute)
        trace, result = _run(source, texts, stack, long, ask, out.wants_data)
    trace = replace(trace, command=("attnviz", *ctx.obj))
    place = None if token is None else _place(token, trace.streams[result.flow.outputs])
    views = flow_views(trace, result, by=by, token=place)
    if file is not None and (warnings := findings_text(trace, Selection())):
        views.append(warnings)
    emit([Report(views, result.manifest(trace), result.arrays(), pictures(views))], out)


class _Question(NamedTuple):
    """What is asked of a text; see the options."""

    method: str
    layer: int | None
    token: str | None
    absolute: bool


def _place(token: str, outputs: Tokens) -> int:
    return parse_place(token, outputs, "--token", "output")


def _run(
    text: str | None,
    texts: TextInput,
    stack: StackOptions,
    long: LongInputs,
    ask: _Question,
    fingerprint: bool,
) -> tuple[Trace, TraceFlow]:
    from attnviz.analysis.contributions import STAGES
    from attnviz.analysis.flow import flow_of

    content = read_input(None if text is None else [text], texts.ids, texts)
    model = load(stack)
    weighted = ask.method == "contributions"
    stages = STAGES if weighted else ("weights",)
    prepared = prepare_source(model, content, texts, stages, Selection(), memory=long.budget)
    if prepared.summaries is not None:
        return _stream(prepared, ask, fingerprint)
    trace = run_prepared(prepared, hidden_states=weighted, fingerprint=fingerprint)
    result = flow_of(
        trace,
        model.transformer,
        method=ask.method,
        last_layer=ask.layer,
        absolute=ask.absolute,
    )
    return trace, result


def _stream(prepared: Prepared, ask: _Question, fingerprint: bool) -> tuple[Trace, TraceFlow]:
    """Of an input whose matrices would take too much memory."""
    from attnviz.analysis.streamed_flow import (
        FlowRecorder,
        Pass,
        last_place,
        output_flows,
        streamed_flow,
    )

    lengths = {name: len(tokens) for name, tokens in prepared.streams.items()}
    if ask.method == "contributions":
        raise AttnvizError(
            f"contributions of {max(lengths.values())} tokens need every weight of every head at "
            "once, more than --memory allows",
            "--method rollout is computed in groups of tokens; or shorten the text",
        )
    sites = prepared.plan.sites
    last = last_place(sites, ask.layer)
    outputs = next(site.queries for site in reversed(sites) if site.id.block == last[0])
    place = None if ask.token is None else _place(ask.token, prepared.streams[outputs])
    recorder = FlowRecorder(lengths, last)
    trace = run_prepared(
        prepared, hidden_states=place is not None, fingerprint=fingerprint, recorder=recorder
    )
    output = None
    if place is not None:
        done = Pass(prepared.model.transformer, prepared.inputs, trace.hidden_states)
        with progress("flow") as bar:
            output = place, output_flows(done, [place], last, bar)
    result = streamed_flow(recorder, output, last_layer=ask.layer, absolute=ask.absolute)
    return trace, result
