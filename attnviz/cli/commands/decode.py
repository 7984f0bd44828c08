"""Let a decoder write, and show where it looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.caching import CacheOptions
from attnviz.cli.command import Command
from attnviz.cli.current import current
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.loading import load, load_named, model_setting
from attnviz.cli.options import (
    MODEL,
    ChatInput,
    Ids,
    LongInputs,
    ModelInput,
    Selected,
    Target,
    TextWords,
    group,
)
from attnviz.cli.progress import progress
from attnviz.cli.spread import spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.models.model import Model

ORDER = 20

app = typer.Typer(add_completion=False)

DEFAULT = "phrases"

ALONE = 20
"""Tokens that a decoder without an encoder writes at most, if nothing else is asked for."""


@group
class DecoderInput(ModelInput):
    """A trained decoder, alone or with an encoder."""

    model: Annotated[
        str | None, typer.Option("-m", "--model", help=f"{MODEL} (default: {DEFAULT})")
    ] = None


@app.command(cls=Command)
@spread
def decode(
    ctx: typer.Context,
    decoder: DecoderInput,
    chat: ChatInput,
    selected: Selected,
    caching: CacheOptions,
    long: LongInputs,
    out: FigureOptions,
    text: TextWords = None,
    target: Target = None,
    ids: Ids = None,
    count: Annotated[
        int | None,
        typer.Option(
            "-n", help="At most so many tokens (default: 64; 20 without encoder or --chat)"
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="How many heads are shown as matrices")] = 2,
    steps: Annotated[
        bool, typer.Option("--steps", help="The attention after each token, row by row")
    ] = False,
    no_rules: Annotated[
        bool,
        typer.Option(
            "--no-rules", help="Not as generation_config.json says: always the most probable"
        ),
    ] = False,
) -> None:
    """Decode greedily and show every attention: encoder, masked decoder, cross, alignment.

    attnviz decode "早上好！" -m phrases
    attnviz decode "abcdefgabc" -m induction -n 6 --cache paged --block-size 4
    """
    from attnviz.cli.inputs import (
        announce,
        check_known,
        read_input,
        sound_file,
        suggest_chat,
        usual_summary,
    )
    from attnviz.models.run.forward import forward
    from attnviz.models.run.generate import generate
    from attnviz.models.run.prepare import after_decoding, prepare_decoding
    from attnviz.views.decoding import decoding_views, plotted_views

    content = read_input(text, ids, chat, only_texts=True)
    if not isinstance(content, str | list):
        content = replace(content, continues=True)
    model = _model(decoder)
    max_tokens = _max_tokens(model, count, target, chat.is_chat)
    cached = caching.cache != "none"
    sound = sound_file(model, content)
    prepared = prepare_decoding(
        model,
        content if sound is None else None,
        sound=sound,
        max_tokens=max_tokens,
        cached=cached,
        select=selected.selection,
        memory=long.budget,
        summaries=usual_summary,
    )
    source = prepared.streams["source"]
    check_known(model, source)
    suggest_chat(model, content)
    _suggest_language(model, target)
    if prepared.summaries is None:
        announce(prepared.plan, f"{len(source)} tokens and {max_tokens} more")
    with progress("tokens") as bar:
        generated = generate(
            model,
            source,
            source_input=None if sound is None else prepared.inputs["source"],
            target=target,
            max_tokens=count,
            at_most=max_tokens,
            rules=not no_rules,
            stages=("weights",),
            last_rows=prepared.summaries is not None,
            cache=caching.factory,
            progress=bar,
        )
    written = after_decoding(prepared, generated, usual_summary)
    if out.has_page:
        written = replace(written, stages=("scores", *written.stages))
    trace = forward(written, fingerprint=out.wants_data)
    trace = replace(trace, command=("attnviz", *ctx.obj))
    answer = model.output_tokenizer.join(generated.written.ids)
    views = decoding_views(
        trace,
        selected.selection,
        generated,
        answer,
        top=top,
        steps=steps,
        every_head=out.has_page,
    )
    manifest = {**trace.manifest(), "decoded": generated.manifest(answer)}
    drawn = plotted_views(trace, selected.selection, views)
    emit([Report(views, manifest, trace.arrays(), drawn)], out)


def _model(decoder: DecoderInput) -> Model:
    """The model that is named, or set as the default if it can write, or the command's own."""
    model = load(decoder, DEFAULT)
    setting = None if decoder.model else model_setting()
    if setting is None or (model.trained and model.kind != "encoder"):
        return model
    talk(f"{model.name}, set by {setting.source}, writes no text: here is {DEFAULT}")
    return load_named(DEFAULT)


def _suggest_language(model: Model, target: str | None) -> None:
    """Say of a translator of many languages that nobody told it which one to write."""
    reader = model.output_tokenizer
    if target is not None or model.sound is not None or reader.spoken is None:
        return
    first = "".join(reader.take([id for id in reader.prompt if id is not None]).tokens)
    is_told = "_" in first.strip("_") or "forced_bos_token_id" in model.generation().rules
    if len(reader.prompt) == 1 and not is_told:
        talk(
            f"hint: {model.name} is not told in which language to write: "
            f"{current().again} --target-lang CODE"
        )


def _max_tokens(model: Model, count: int | None, target: str | None, is_chat: bool) -> int:
    """How many tokens are written at most."""
    from attnviz.models.run.generate import MAX_TOKENS

    alone = model.kind == "decoder"
    if alone and target is not None:
        raise AttnvizError(
            f"{model.name} has no encoder: it does not read a target", "leave out --target"
        )
    if count is None:
        return ALONE if alone and not is_chat else MAX_TOKENS
    if count < 1:
        raise AttnvizError(f"-n: expected at least 1, got {count}", "-n 20")
    return count
