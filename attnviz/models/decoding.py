"""Greedy decoding with a key/value cache: a token at a time, each the most probable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnviz.decoded import Generated, Step
from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.models.reading import Text, as_input, read_target
from attnviz.nn.cache import Cache
from attnviz.nn.multi_head import Recorder, RecordNothing
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace import TraceRecorder

MOST = 64


def generate(
    model: Model,
    source: Tokens,
    *,
    target: Text | None = None,
    most: int = MOST,
    stages: tuple[str, ...] = (),
    cached: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Generated:
    """Decode greedily.

    Args:
        source: what the encoder reads; of a decoder alone, what is continued.
        target: what the decoder of an encoder-decoder is given (default: its first token).
        most: stop after so many tokens.
        stages: stages of the decoder to record at every step.
        cached: keep keys and values between steps; without, everything is computed anew.

    Raises:
        AttnvizError: the model has no decoder, or no output.
    """
    unembed, transformer = model.transformer.unembed, model.transformer
    if transformer.decoder is None or unembed is None or model.task != "continue":
        raise AttnvizError(
            f"{model.name} writes no text: it is no trained decoder",
            "attnviz decode TEXT -m phrases, or -m induction",
        )
    reader = model.target_tokenizer or model.tokenizer
    memory = None
    given = source
    if transformer.encoder is not None:
        memory = transformer.encode(as_input(model, source), RecordNothing())
        given = _first_target(model, target)
    end = getattr(reader, "end", None)
    room = most if model.max_tokens is None else min(most, model.max_tokens - len(given) + 1)
    cache = Cache() if cached else None
    read, new = list(given.ids), list(given.ids)
    steps: list[Step] = []
    ended = False
    while len(steps) < room and not ended:
        recorder = TraceRecorder([*stages, "mask"]) if stages else None
        tokens = reader.take(read if cache is None else new)
        step_input = as_input(model, tokens, target=memory is not None)
        if cache is not None:
            step_input = step_input._replace(first=len(read) - len(new))
        silent: Recorder = RecordNothing()
        x = transformer.decode(step_input, memory, recorder or silent, cache=cache)
        id, probability = _best(unembed(x[-1:])[0])
        steps.append(Step(id, probability, recorder.records() if recorder else ()))
        ended = id == end
        new = [id]
        read.append(id)
        if progress is not None:
            progress(len(steps), room)
    return Generated(tuple(read[:-1]), len(given), tuple(steps), ended)


def _first_target(model: Model, target: Text | None) -> Tokens:
    if target is not None:
        return read_target(model, target)
    begin = getattr(model.target_tokenizer, "begin", None)
    if begin is None:
        raise AttnvizError(f"{model.name} has no first token to begin with", "--target TEXT")
    return read_target(model, [begin])


def _best(logits: Array) -> tuple[int, float]:
    """The most probable token of [n_vocabulary] logits, and its probability."""
    id = int(logits.argmax())
    return id, float(1 / np.exp(logits - logits[id]).sum())
