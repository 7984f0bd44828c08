"""A model and changed ones on one text: what they share is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attnviz.models.model import Model
from attnviz.models.run.probe import Probe, chooses
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import RecordNothing, Stream
from attnviz.nn.pooling import against_zero
from attnviz.nn.transformer import Stack, Transformer
from attnviz.nn.types import Array


class Evaluator:
    """A model's answers to a probe, and those of the model with another transformer."""

    def __init__(self, model: Model, probe: Probe) -> None:
        self._model, self._probe = model, probe
        self._resume = ResumableForward(model.transformer, probe.inputs)

    def __call__(self, transformer: Transformer) -> Array:
        """The logits [n_position, n_output] at the probe's positions, or where the model has no
        output that is a choice the states [n_position, d_model]."""
        states = self._resume(transformer)
        if not chooses(self._model):
            return states[self._probe.positions]
        logits = transformer.output(states, self._probe.inputs["source"])
        assert logits is not None
        if self._model.task == "span":  # where it starts and ends, each among all tokens
            logits = logits.T
        if self._model.problem == "several":  # each label by itself: no or yes
            logits = against_zero(logits.T)
        return logits[self._probe.positions]


class ResumableForward:
    """One pass of a transformer, from which passes of others branch off at the first block that
    is not the very same, as `ablate` leaves them."""

    def __init__(self, transformer: Transformer, inputs: Mapping[str, Input]) -> None:
        self._original, self._inputs = transformer, inputs
        output = transformer(inputs["source"], inputs.get("target"), hidden_states=True)
        self._hidden = output.hidden_states

    def __call__(self, transformer: Transformer) -> Array:
        """The states [n_token, d_model] that come out of the last stack."""
        memory, same = None, True
        if transformer.encoder is not None:
            assert self._original.encoder is not None
            stream = self._stream("source", transformer.encoder.name)
            x = self._resume_stack(self._original.encoder, transformer.encoder, stream, None, True)
            memory, same = stream._replace(x=x), x is self._hidden["encoder"][-1]
        if transformer.decoder is None:
            assert memory is not None
            return memory.x
        assert self._original.decoder is not None
        name = "source" if memory is None else "target"
        stream = self._stream(name, transformer.decoder.name)
        return self._resume_stack(self._original.decoder, transformer.decoder, stream, memory, same)

    def _stream(self, name: str, stack: str) -> Stream:
        x = self._hidden[stack][0]
        return Stream(name, x, np.arange(x.shape[-2]), self._inputs[name].mask)

    def _resume_stack(
        self,
        original: Stack,
        changed: Stack,
        stream: Stream,
        memory: Stream | None,
        same_memory: bool,
    ) -> Array:
        """The changed stack's output, computed from its first other block on."""
        states: Sequence[Array] = self._hidden[original.name]
        first = _first_difference(original, changed) if same_memory else 0
        if first == len(changed.blocks):
            return states[-1]
        rest = changed._replace(blocks=changed.blocks[first:])
        return rest(stream._replace(x=states[first]), memory, RecordNothing())


def _first_difference(original: Stack, changed: Stack) -> int:
    for layer, (old, new) in enumerate(zip(original.blocks, changed.blocks, strict=True)):
        if old is not new:
            return layer
    return len(changed.blocks)
