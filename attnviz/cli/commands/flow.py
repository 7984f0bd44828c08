"""Show which inputs reach which outputs through all layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.cells import parse_place
from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.inputs import load_file, named_file, one_source, read_input, record_source
from attnviz.cli.loading import load
from attnviz.cli.options import FileInput, Scale, StackOptions, TextInput
from attnviz.cli.spread import one_of, set_options, spread
from attnviz.errors import AttnvizError
from attnviz.trace.selection import Selection

if TYPE_CHECKING:
    from attnviz.nn.transformer import Transformer
    from attnviz.trace.record import Trace

ORDER = 90

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def flow(
    ctx: typer.Context,
    texts: TextInput,
    stack: StackOptions,
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
    scale: Scale = "all",
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
    file = named_file(source)
    if file is not None:
        if set_options(texts, stack):
            raise AttnvizError(
                f"{file} holds a run that is done: it takes no model and no second text",
                "give the text itself",
            )
        trace, transformer = load_file(file, FileInput()), None
    else:
        trace, transformer = _run(source, texts, stack, method, out.wants_data)
    trace = replace(trace, command=("attnviz", *ctx.obj))
    result = flow_of(trace, transformer, method=method, last_layer=layer, absolute=absolute)
    outputs = trace.streams[result.flow.outputs]
    place = None if token is None else parse_place(token, outputs, "--token", "output")
    views = flow_views(
        trace,
        result.flow,
        result.even,
        method=result.method,
        notes=result.notes,
        by=by,
        token=place,
    )
    if file is not None and (warnings := findings_text(trace, Selection())):
        views.append(warnings)
    emit([Report(views, result.manifest(trace), result.arrays(), pictures(views))], out)


def _run(
    text: str | None, texts: TextInput, stack: StackOptions, method: str, fingerprint: bool
) -> tuple[Trace, Transformer]:
    from attnviz.analysis.contributions import STAGES

    content = read_input(None if text is None else [text], texts.ids)
    model = load(stack)
    weighted = method == "contributions"
    trace = record_source(
        model,
        content,
        texts,
        STAGES if weighted else ("weights",),
        Selection(),
        hidden_states=weighted,
        fingerprint=fingerprint,
    )
    return trace, model.transformer
