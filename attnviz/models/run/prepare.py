"""Everything that a run needs, made once: tokens, the transformer's inputs, the plan of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.chat.messages import Chat
from attnviz.models.model import Model
from attnviz.models.run.inputs import (
    Text,
    as_input,
    first_token,
    read_image,
    read_sound,
    read_target,
    read_text,
)
from attnviz.models.run.memory import (
    FLOOR,
    IMAGE_HINT,
    TEXT_HINT,
    Plan,
    check_budget,
    check_memory,
    plan_decoding,
    plan_run,
    plan_summary,
    with_measuring,
)
from attnviz.nn.embedding import Input
from attnviz.nn.masks import NONE, Mask, custom
from attnviz.nn.tile_readers import Block
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.selection import Selection
from attnviz.trace.summary import MAP_SIZE, PlanSummaries, SummaryPlan, map_size

if TYPE_CHECKING:
    from attnviz.models.sound.reader import Sound
    from attnviz.models.vision.images import Pixels
    from attnviz.nn.site import Site
    from attnviz.trace.generation import Generated

SPELLING_NOTE = to_say("ids carry no capitalisation; words are shown as the vocabulary spells them")
WRITTEN_NOTE = to_say("the target is what the model itself writes")
SHIFTED_NOTE = to_say("the target is the text shifted by one token, as the model's class does it")


@dataclass(frozen=True, eq=False, repr=False)
class Prepared:
    """What a model is about to read, and what will be recorded of it."""

    model: Model
    streams: Mapping[str, Tokens]
    """`source` and, for an encoder-decoder, `target`."""
    inputs: Mapping[str, Input]
    """What the transformer reads, by stream."""
    plan: Plan
    stages: tuple[str, ...] = ("weights",)
    select: Selection = field(default_factory=Selection)
    summaries: SummaryPlan | None = None
    """What is kept instead of matrices, where these would be too large."""
    notes: tuple[str, ...] = ()
    """What the reader has to know about how the input was read, a sentence each."""
    pixels: Pixels | None = None
    """The image that `inputs` is made of, if it is one."""
    sound: Sound | None = None
    """The same of a sound."""
    apart: tuple[Tokens, Tokens] | None = None
    """Both texts of a pair by themselves, for a model that compares texts."""


def prepare(
    model: Model,
    text: Text | None = None,
    *,
    pair: Text | None = None,
    target: Text | None = None,
    image: str | Path | Array | Pixels | None = None,
    sound: str | Path | Array | None = None,
    mask: Mask | Array | None = None,
    stages: Sequence[str] = ("weights",),
    select: Selection | None = None,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
) -> Prepared:
    """Read a text, an image or a sound for a model, and plan the run; for the arguments see
    `attnviz.run`.

    Raises:
        AttnvizError: the model cannot read this, has no such layers, or needs more memory than
            there is.
    """
    if isinstance(mask, np.ndarray):
        from attnviz.models.edit.override import hide

        model, mask = hide(model, custom(mask)), NONE
    pixels = heard = None
    if image is not None and model.vision is not None:
        from attnviz.models.run.compare import with_texts

        model = with_texts(model, [] if text is None else [text])
        text = None
    if sound is not None and text is pair is image is None:
        heard = read_sound(model, sound)
        streams = {"source": heard.tokens}
        if target is not None:
            _check_reads_target(model)
            streams["target"] = read_target(model, target)
        notes = heard.notes
    elif image is None and sound is None:
        streams, notes = _read(model, text, pair, target)
    elif text is pair is target is sound is None:
        assert image is not None
        may_stream = memory is not None and summaries is not None
        pixels = _pixels(model, image, () if may_stream else stages, select)
        streams, notes = {"source": pixels.tokens}, pixels.notes
    else:
        raise AttnvizError("give a text, an image or a sound, not two of them",
                           "run(image=PATH, model=…)")  # fmt: skip
    prepared = prepare_tokens(
        model,
        streams,
        pixels=pixels,
        sound=heard,
        mask=NONE if mask is None else mask,
        stages=stages,
        select=select,
        notes=notes,
        memory=memory,
        summaries=summaries,
    )
    if model.task != "embed" or text is None or not pair:
        return prepared
    return replace(prepared, apart=(read_text(model, text), read_text(model, pair)))


def _pixels(
    model: Model,
    image: str | Path | Array | Pixels,
    stages: Sequence[str],
    select: Selection | None,
) -> Pixels:
    """The image, read if there is memory for these stages of the tokens that it becomes."""
    if not isinstance(image, str | Path | np.ndarray):
        return image

    def check(n_token: int) -> None:
        check_memory(plan_run(model, {"source": range(n_token)}, stages, select), IMAGE_HINT)

    return read_image(model, image, check)


def prepare_tokens(
    model: Model,
    streams: Mapping[str, Tokens],
    *,
    pixels: Pixels | None = None,
    sound: Sound | None = None,
    mask: Mask = NONE,
    stages: Sequence[str] = ("weights",),
    select: Selection | None = None,
    notes: Sequence[str] = (),
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
) -> Prepared:
    """The same of tokens that have been read. The target that an encoder-decoder lacks is what it
    writes when it decodes greedily; the plan is then for the longest that this may be.

    Args:
        memory: bytes that the record may take; one that would take more is summarised.
        summaries: makes the plan of the summaries.
    """
    lengths: dict[str, Sized] = dict(streams)
    writes = model.kind == "encoder-decoder" and "target" not in streams
    if writes:
        from attnviz.models.run.generate import MAX_TOKENS, generate

        lengths["target"] = range(min(MAX_TOKENS, model.max_tokens or MAX_TOKENS))
    plan = plan_run(model, lengths, stages, select)
    summary = None
    if memory is not None and summaries is not None and plan.n_byte > memory:
        summary = summaries(streams)
        if writes:
            summary = replace(summary, block=None)
        summary = _sized(model, lengths, summary, select, memory)
        smaller = plan_summary(model, lengths, summary, select)
        check_budget(min(plan, smaller, key=lambda each: each.n_byte), memory)
        # rows and keys in full may take more than the matrices they are of
        if smaller.n_byte > max(memory, FLOOR):
            summary = None
        else:
            plan = with_measuring(smaller, lengths, summary)
    check_memory(plan, TEXT_HINT if pixels is None else IMAGE_HINT)
    heard = None if sound is None else as_heard(model, sound)
    if writes:
        written = generate(model, streams["source"], source_input=heard)
        streams = {**streams, "target": written.read}
        notes = (*notes, WRITTEN_NOTE, *_rules_note(written))
        if summary is not None and summaries is not None:
            summary = replace(summaries(streams), map_size=summary.map_size)
    return Prepared(
        model=model,
        streams=streams,
        inputs=_inputs(model, streams, mask, pixels, heard),
        plan=plan,
        stages=tuple(stages),
        select=select or Selection(),
        notes=tuple(notes),
        pixels=pixels,
        sound=sound,
        summaries=summary,
    )


def _rules_note(written: Generated) -> tuple[str, ...]:
    """That rules of the checkpoint made it write something else than the most probable."""
    if written.most_probable is None:
        return ()
    note = to_say(
        "rules in {file} decided {n} of its {total} tokens: attnviz decode says which",
        file=written.rules_file,
        n=sum(step.instead_of is not None for step in written.steps),
        total=len(written.steps),
    )
    return (note,)


def _sized(
    model: Model,
    lengths: Mapping[str, Sized],
    summary: SummaryPlan,
    select: Selection | None,
    memory: int,
) -> SummaryPlan:
    """The plan with the size of its maps: the finest that the memory has room for."""
    if summary.map_size is not None:
        return summary
    chosen = select or Selection()
    n_head = sum(len(chosen.heads(site)) for site in model.transformer.sites())
    finer = replace(summary, map_size=map_size(n_head, memory))
    fits = plan_summary(model, lengths, finer, select).n_byte <= memory
    return finer if fits else replace(summary, map_size=MAP_SIZE)


def prepare_decoding(
    model: Model,
    text: Text | None,
    *,
    sound: str | Path | Array | None = None,
    max_tokens: int,
    cached: bool = True,
    select: Selection | None = None,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
) -> Prepared:
    """What a decoder continues or answers, planned for as many tokens as it may write.

    Args:
        sound: instead of a text, for a model of speech.
        memory: bytes that the records of the steps and of the whole text may take; if they would
            take more, `summaries` is set: to be kept are the rows of what is written, and of the
            rest a summary.

    Raises:
        AttnvizError: as `prepare`.
    """
    select = select or Selection()
    select.check(model.transformer.sites())
    heard = None if sound is None else read_sound(model, sound)
    if heard is None:
        assert text is not None
        source = read_text(model, text)
    else:
        source = heard.tokens
    plan = plan_decoding(model, source, max_tokens, cached)
    streams = {"source": source}
    summary = None
    if memory is not None and summaries is not None and plan.n_byte > memory:
        summary = summaries(streams)
    else:
        check_memory(plan, "shorten the text, or write fewer tokens: -n 10")
    inputs = _inputs(model, streams, NONE, heard=heard and as_heard(model, heard))
    notes = () if heard is None else heard.notes
    return Prepared(
        model, streams, inputs, plan, select=select, summaries=summary, notes=notes, sound=heard
    )


def after_decoding(
    prepared: Prepared, generated: Generated, summaries: PlanSummaries | None = None
) -> Prepared:
    """All that the decoder has read when it is done, to be run at once; `summaries` as for
    `prepare_decoding`."""
    model = prepared.model
    name = "source" if model.transformer.encoder is None else "target"
    streams = {**prepared.streams, name: generated.read}
    mask = prepared.inputs["source"].mask
    summary = None
    if prepared.summaries is not None and summaries is not None:
        rows = partial(_written_rows, streams, name, generated.n_given - 1)
        summary = replace(summaries(streams), block=rows)
    heard = None if prepared.sound is None else prepared.inputs["source"]
    inputs = _inputs(model, streams, mask, heard=heard)
    return replace(prepared, streams=streams, inputs=inputs, summaries=summary)


def _written_rows(streams: Mapping[str, Tokens], name: str, first: int, site: Site) -> Block:
    """The queries that wrote something, with all keys; of other streams none."""
    n_q, n_k = len(streams[site.queries]), len(streams[site.keys])
    return Block(np.arange(first if site.queries == name else n_q, n_q), np.arange(n_k))


def _read(
    model: Model, text: Text | None, pair: Text | None, target: Text | None
) -> tuple[dict[str, Tokens], tuple[str, ...]]:
    """The streams, and what is to be said about how they were read."""
    if text is None:
        raise AttnvizError("there is no text", 'run("I saw a saw")')
    streams = {"source": read_text(model, text, pair)}
    by_id = not isinstance(text, str | Chat) and bool(model.tokenizer.n_piece)
    notes = (SPELLING_NOTE,) if by_id else ()
    if model.kind == "encoder-decoder":
        if target is not None:
            streams["target"] = read_target(model, target)
        elif model.task != "continue":
            streams["target"] = _default_target(model, text, streams["source"])
            notes = (*notes, SHIFTED_NOTE) if model.trained else notes
    elif target is not None:
        _check_reads_target(model)
    return streams, notes


def _check_reads_target(model: Model) -> None:
    if model.kind != "encoder-decoder":
        raise AttnvizError(
            f"{model.name} is not an encoder-decoder: it does not read a target",
            "leave out --target" if model.trained else "--kind encoder-decoder",
        )


def _default_target(model: Model, text: Text, source: Tokens) -> Tokens:
    """What the decoder of a model reads that predicts no tokens. The class of a trained one moves
    the text by one, behind the first token of targets or its own last one."""
    if not model.trained:
        return read_target(model, text)
    if model.wraps is None:
        first = first_token(model)
    else:
        first = source.ids[sum(id != model.wraps for id in source.ids) - 1]
    return read_target(model, [first, *source.ids[:-1]])


def _inputs(
    model: Model,
    streams: Mapping[str, Tokens],
    mask: Mask,
    pixels: Pixels | None = None,
    heard: Input | None = None,
) -> dict[str, Input]:
    if pixels is not None:
        return {"source": Input(pixels=pixels.values.astype(model.dtype), mask=mask)}
    given = {} if heard is None else {"source": heard._replace(mask=mask)}
    return given | {
        name: as_input(model, tokens, mask, target=name == "target")
        for name, tokens in streams.items()
        if name not in given
    }


def as_heard(model: Model, sound: Sound) -> Input:
    """What the transformer reads of a sound."""
    return Input(sound=sound.values.astype(model.dtype))
