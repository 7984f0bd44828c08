"""Show which inputs reach which outputs through all layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.inputs import named_file, read_inputs, record_source
from attnviz.cli.loading import load
from attnviz.cli.options import OutputOptions, Scale, StackOptions, TextInput
from attnviz.cli.spread import one_of, set_options, spread
from attnviz.errors import AttnvizError
from attnviz.trace.selection import Selection

if TYPE_CHECKING:
    from attnviz.analysis.flow import Flow, Mix
    from attnviz.models.model import Model
    from attnviz.trace.record import Trace

ORDER = 90

app = typer.Typer(add_completion=False)

METHODS = ("rollout", "contributions")

ROLLOUT = (
    "half of each row is the token's own state, half the mean weights of the heads; the layers "
    "multiplied (Abnar & Zuidema 2020)"
)
CONTRIBUTIONS = (
    "a token's share is what its value, weighted, projected and with the residual, brings into "
    "the output of an attention, in the L1 norm; the layers multiplied (Ferrando et al. 2022)"
)
RELATIVE = (
    "relative to heads that spread evenly, as a causal mask alone already favours early tokens; "
    "--absolute leaves that out"
)


class Source(NamedTuple):
    """What flows: a trace and, unless it is from a file, the model."""

    trace: Trace
    model: Model | None


@app.command(cls=Command)
@spread
def flow(
    ctx: typer.Context,
    texts: TextInput,
    stack: StackOptions,
    out: OutputOptions,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A text, - for stdin, the file of a trace or of weights; an image for a vision "
            "model.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="rollout, of the weights; contributions, of weighted values")
    ] = METHODS[0],
    layer: Annotated[
        int | None, typer.Option(help="Up to this layer of the last stack (default: all)")
    ] = None,
    token: Annotated[
        int | None, typer.Option(help="List the inputs of the output at this position")
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
    from attnviz.analysis.flow import even_mix, is_causal, relative
    from attnviz.analysis.flow import flow as follow
    from attnviz.analysis.visibility import GUESSED, looks_causal
    from attnviz.views.attention import SCALES, found_text
    from attnviz.views.flow import flow_views

    one_of("method", method, METHODS)
    by: Any = one_of("scale", scale, SCALES)
    file = named_file(source)
    if file is not None and set_options(texts, stack):
        raise AttnvizError(
            f"{file} holds a run that is done: it takes no model and no second text",
            "give the text itself",
        )
    wanted = method if file is None else METHODS[0]
    read = _run(source, texts, stack, wanted, out.wants_data) if file is None else _read(file)
    trace = replace(read.trace, command=("attnviz", *ctx.obj))
    told = [CONTRIBUTIONS if wanted == "contributions" else ROLLOUT]
    if wanted != method:
        told.append(f"{method} need the model: a trace has neither projections nor residuals")
    found = follow(trace.records, _mix(read, wanted), layer)
    even = follow(trace.records, even_mix, layer)
    if wanted == "rollout" and is_causal(trace.records) and not absolute:
        found = relative(found, even)
        told.append(RELATIVE)
    _check_token(token, len(trace.streams[found.outputs]))
    if any(map(looks_causal, trace.records)):
        told.append(f"{GUESSED}: taken for causal")
    views = flow_views(trace, found, even, method=wanted, told=told, by=by, token=token)
    if file is not None and (warnings := found_text(trace, Selection())):
        views.append(warnings)
    manifest = _manifest(trace, found, wanted, layer, told)
    emit([Report(views, manifest, {f"{s}/shares": a for s, a in found.shares.items()})], out)


def _read(file: Path) -> Source:
    from attnviz.trace.arrays import load as load_trace

    return Source(load_trace(file), None)


def _run(
    text: str | None,
    texts: TextInput,
    stack: StackOptions,
    method: str,
    fingerprint: bool,
) -> Source:
    from attnviz.analysis.contributions import STAGES

    (content,) = read_inputs(None if text is None else [text], texts.ids)
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
    return Source(trace, model)


def _mix(read: Source, method: str) -> Any:
    """The function that says what each record makes of what it reads."""
    from attnviz.analysis.flow import rollout_mix

    if method == "rollout":
        return rollout_mix
    from attnviz.analysis.contributions import contribution_mixes

    assert read.model is not None
    mixes = contribution_mixes(read.model.transformer, read.trace)

    def mix(record: Any) -> Mix:
        return mixes[record.id]

    return mix


def _check_token(token: int | None, n_token: int) -> None:
    if token is not None and not 0 <= token < n_token:
        raise AttnvizError(
            f"--token: there is no output {token}", f"they count from 0 to {n_token - 1}"
        )


def _manifest(
    trace: Trace, found: Flow, method: str, layer: int | None, told: list[str]
) -> dict[str, Any]:
    return {
        "format": "attnviz-flow",
        "version": 1,
        "model": dict(trace.model),
        "command": list(trace.command),
        "tokens": {name: list(stream.tokens) for name, stream in trace.streams.items()},
        "outputs": found.outputs,
        "method": method,
        "layer": layer,
        "notes": told,
    }
