"""`attnviz decode`: a decoder writes, and its attention is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.caching import CacheOptions
from attnviz.cli.emit import Report, check_outputs, emit, wants_data
from attnviz.cli.loading import load
from attnviz.cli.options import Download, OutputOptions, spread
from attnviz.cli.progress import progress
from attnviz.errors import AttnvizError
from attnviz.trace.selection import parse_selection

if TYPE_CHECKING:
    from attnviz.models.model import Model
    from attnviz.trace.generation import Generated
    from attnviz.trace.record import Trace

app = typer.Typer(add_completion=False)


@app.command()
@spread
def decode(
    ctx: typer.Context,
    out: OutputOptions,
    caching: CacheOptions,
    text: Annotated[
        str | None, typer.Argument(help="The text; - reads stdin.", show_default=False)
    ] = None,
    ids: Annotated[str | None, typer.Option(help="Token ids instead of a text: 2,3,4")] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", help="A trained decoder, alone or with an encoder")
    ] = "phrases",
    download: Download = False,
    count: Annotated[
        int | None,
        typer.Option("-n", help="At most so many tokens (default: 64; 20 for a decoder alone)"),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="What the decoder of an encoder-decoder begins with")
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option("-s", "--select", help="Layers and heads: decoder.1.cross.H0. Repeatable."),
    ] = None,
    top: Annotated[int, typer.Option(help="How many heads are shown as matrices")] = 2,
    steps: Annotated[
        bool, typer.Option("--steps", help="The attention after each token, row by row")
    ] = False,
) -> None:
    """Decode greedily and show every attention: encoder, masked decoder, cross, alignment.

    attnviz decode "早上好！" -m phrases
    attnviz decode "abcdefgabc" -m induction -n 6 --cache paged --block-size 4
    """
    check_outputs(out)
    from attnviz.cli.inputs import announce, read_inputs
    from attnviz.models.run.generate import MOST, generate, whole_pass
    from attnviz.models.run.memory import check_memory, plan_decoding
    from attnviz.models.run.prepare import read_text
    from attnviz.views.decoding import decoding_views

    (given,) = read_inputs(None if text is None else [text], ids)
    loaded = load(model, download)
    selection = parse_selection(select or ())
    alone = loaded.kind == "decoder"
    if alone and target is not None:
        raise AttnvizError(
            f"{loaded.name} has no encoder: it reads no target", "leave out --target"
        )
    most = count if count is not None else 20 if alone else MOST
    if most < 1:
        raise AttnvizError(f"-n: expected at least 1, got {most}", "-n 20")
    source = read_text(loaded, given)
    plan = plan_decoding(loaded, source, most, caching.cache != "none")
    check_memory(plan, "shorten the text, or write fewer tokens: -n 10")
    announce(plan, f"{len(source)} tokens and {most} more")
    selection.check(loaded.transformer.sites())
    with progress("tokens") as bar:
        generated = generate(
            loaded,
            source,
            target=target,
            most=most,
            stages=("weights",),
            cache=caching.factory,
            progress=bar,
        )
    trace = whole_pass(loaded, source, generated, select=selection, fingerprint=wants_data(out))
    trace = replace(trace, command=("attnviz", *ctx.obj))
    reader = loaded.target_tokenizer or loaded.tokenizer
    answer = reader.join(generated.written.ids)
    views = decoding_views(trace, selection, generated, answer, top=top, steps=steps)
    emit([_report(trace, views, generated, answer, loaded)], out)


def _report(trace: Trace, views: Any, generated: Generated, text: str, model: Model) -> Report:
    decoded = {
        "text": text,
        "ids": list(generated.written.ids),
        "probabilities": [step.probability for step in generated.steps],
        "n_given": generated.n_given,
        "ended": generated.ended,
    }
    return Report(views, {**trace.manifest(), "decoded": decoded}, trace.arrays())
