"""Greedy decoding with a key/value cache: a token at a time, each the most probable that the rules
of the checkpoint allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.memory import available_memory
from attnviz.models.generation import Generation
from attnviz.models.model import Model
from attnviz.models.run.finite import no_float_warnings
from attnviz.models.run.inputs import Text, as_input, first_tokens, read_target
from attnviz.models.run.rules import SoFar, apply_rules
from attnviz.nn.cache import Cache, ContiguousCache
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import RecordNothing, Stream
from attnviz.nn.norms import BatchNorm
from attnviz.nn.rotary import ByGrowth, ByLength
from attnviz.nn.transformer import Stack, attentions
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.generation import Generated, Step
from attnviz.trace.recorder import LastRowRecorder, TraceRecorder

MAX_TOKENS = 64


@no_float_warnings
def generate(
    model: Model,
    source: Tokens,
    *,
    source_input: Input | None = None,
    target: Text | None = None,
    max_tokens: int | None = None,
    at_most: int = MAX_TOKENS,
    rules: bool = True,
    stages: tuple[str, ...] = (),
    last_rows: bool = False,
    cache: Callable[[], Cache] | None = ContiguousCache,
    progress: Callable[[int, int], None] | None = None,
) -> Generated:
    """Decode greedily.

    Args:
        source: what the encoder reads; of a decoder alone, what is continued.
        source_input: what the encoder reads where that is no text: a sound.
        target: what the decoder of an encoder-decoder is given (default: its first token).
        max_tokens: write so many tokens, unless the text ends before; by default as many as the
            checkpoint says.
        at_most: stop after so many all the same.
        rules: keep to the rules of the checkpoint's generation_config.json; without, each token is
            the most probable.
        stages: stages of the decoder to record at every step.
        last_rows: record of every step the weights of its last query instead, so that a long
            prompt leaves no matrix.
        cache: makes what holds keys and values between steps; without, or where no cache would
            be right, everything is computed anew. What comes out is the same.

    Raises:
        AttnvizError: the model has no decoder, or no output.
    """
    transformer = model.transformer
    if transformer.decoder is None or transformer.unembed is None or model.task != "continue":
        is_decoder = model.trained and transformer.decoder is not None
        raise AttnvizError(
            f"{model.name} writes no text: "
            + (
                "it has no output for the next token"
                if is_decoder
                else "it is not a trained decoder"
            ),
            "attnviz decode TEXT -m phrases, or -m induction",
        )
    model.keep_weights((available_memory() or 0) // 2)
    reader = model.output_tokenizer
    memory, prompt = None, source
    if transformer.encoder is not None:
        memory = transformer.encode(source_input or as_input(model, source), RecordNothing())
        prompt = _first_target(model, memory, target)
    read_ids = source.ids if source_input is None else ()
    limits = _limits(model, read_ids, prompt, max_tokens, at_most, rules)
    max_tokens = limits.n_new
    keys_values = cache() if cache is not None and can_cache(transformer.decoder) else None
    read = new = prompt
    steps: list[Step] = []
    ended, first = False, 0
    while len(steps) < max_tokens and not ended:
        if _changes_between(transformer.decoder, len(read) - len(new), len(read)):
            first, new = len(steps), read
            if keys_values is not None:
                keys_values.free()
        recorder = _recorder(stages, last_rows)
        step = _step(model, memory, read, new, keys_values, recorder, limits)
        steps.append(step)
        ended = reader.stops_at(step.id)
        new = reader.take([step.id])
        read = read.followed_by(new)
        if progress is not None:
            progress(len(steps), max_tokens)
    written = _generated(reader.take([step.id for step in steps]))
    read = prompt.followed_by(written.first(len(steps) - 1))
    done = Generated(read, written, len(prompt), tuple(steps), ended, keys_values, first)
    asked = limits.asked
    best = [step.id if step.instead_of is None else step.instead_of for step in steps]
    if best != list(written.ids):
        done = done._replace(most_probable=reader.take(best))
    return done._replace(rules=asked.rules, rules_file=asked.where, not_done=asked.asks)


class _Limits(NamedTuple):
    """What may be written: how many tokens, and by which rules."""

    n_new: int
    asked: Generation
    start: SoFar
    """With the ids that were given."""


def _limits(
    model: Model,
    source: Sequence[int],
    prompt: Tokens,
    max_tokens: int | None,
    at_most: int,
    with_rules: bool,
) -> _Limits:
    """What the checkpoint allows of so many tokens; `source`: the ids that the encoder, or a
    decoder alone, was given.

    Raises:
        AttnvizError: its rules name tokens that it does not have.
    """
    asked = model.generation() if with_rules else Generation()
    n_given, reader = len(prompt), model.output_tokenizer
    wanted = max_tokens or asked.most(n_given) or at_most
    n_new = min(wanted, max_tokens or at_most)
    if model.max_tokens is not None:
        n_new = min(n_new, model.max_tokens - n_given + 1)
    ends = sorted({*reader.other_ends, *([] if reader.end is None else [reader.end])})
    start = SoFar(np.array(prompt.ids), n_given, np.array(source, int), ends, n_given + wanted)
    return _Limits(n_new, asked, start)


def _recorder(stages: tuple[str, ...], last_rows: bool) -> TraceRecorder | LastRowRecorder | None:
    if last_rows:
        return LastRowRecorder()
    return TraceRecorder([*stages, "mask"]) if stages else None


def _generated(tokens: Tokens) -> Tokens:
    return replace(tokens, generated=tuple(range(len(tokens))))


def _step(
    model: Model,
    memory: Stream | None,
    read: Tokens,
    new: Tokens,
    cache: Cache | None,
    recorder: TraceRecorder | LastRowRecorder | None,
    limits: _Limits,
) -> Step:
    """The most probable token after `read` that the rules allow; a cache has all of `read` but
    `new`."""
    step_input = as_input(model, read if cache is None else new, target=memory is not None)
    if cache is not None:
        step_input = step_input._replace(first=len(read) - len(new))
    x = model.transformer.decode(step_input, memory, recorder or RecordNothing(), cache=cache)
    assert model.transformer.unembed is not None
    logits = model.transformer.unembed(x[-1:])[0]
    best = id = int(logits.argmax())
    if limits.asked.rules:
        so_far = limits.start._replace(ids=np.array(read.ids))
        id = int(_allowed(model, limits.asked, logits, so_far).argmax())
    probability = float(np.exp(logits[id] - logits[best]) / np.exp(logits - logits[best]).sum())
    if not np.isfinite(probability):
        model.check_weights()
    records = recorder.records() if recorder else ()
    return Step(id, probability, records, None if id == best else best)


def _allowed(model: Model, asked: Generation, logits: Array, so_far: SoFar) -> Array:
    """The logits after the rules, [n_vocabulary]."""
    try:
        return apply_rules(asked.rules, logits, so_far)
    except IndexError as error:
        raise AttnvizError(
            f"{model.name}: {asked.where} names a token that the model does not have: {error}",
            "take all files from one model; --no-rules does without",
        ) from error


def can_cache(decoder: Stack) -> bool:
    """Whether a token's keys and values stay what they are when more tokens come: not where a
    token sees later ones, or a norm looks at the whole text."""
    sublayers = [sublayer for block in decoder.blocks for sublayer in block]
    norms = {type(norm) for s in sublayers for norm in (s.before, s.within, s.after)}
    return BatchNorm not in norms | {type(decoder.norm)} and all(
        attention.kind == "cross" or any(name.startswith("causal") for name in attention.mask.names)
        for block in decoder.blocks
        for attention in attentions(block)
    )


def _changes_between(decoder: Stack, n_before: int, n_after: int) -> bool:
    """Whether growth from `n_before` tokens to `n_after` changes what the decoder computes of the
    tokens that it has read: where rotations depend on the length."""
    return n_before > 0 and any(
        isinstance(attention.rotary, ByGrowth | ByLength)
        and attention.rotary.changes_between(n_before, n_after)
        for block in decoder.blocks
        for attention in attentions(block)
    )


def _first_target(model: Model, memory: Stream, target: Text | None) -> Tokens:
    if target is not None:
        return read_target(model, target)
    ids: list[int] = []
    for id in first_tokens(model):
        ids.append(_language(model, memory, ids) if id is None else id)
    return read_target(model, ids)


def _language(model: Model, memory: Stream, ids: list[int]) -> int:
    """The most probable of the languages that may follow these ids."""
    known = np.array(sorted(model.output_tokenizer.languages.values()))
    assert model.transformer.unembed is not None
    read = as_input(model, model.output_tokenizer.take(ids), target=True)
    x = model.transformer.decode(read, memory, RecordNothing())
    logits = model.transformer.unembed(x[-1:])[0]
    return int(known[logits[known].argmax()])
