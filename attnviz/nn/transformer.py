"""A transformer, put together from the other parts.

A stack is a list of blocks; a block is a list of residual sublayers, each
`after(x + within(f(before(x))))`, where f is attention, a feed-forward net, or several of them
in parallel. That alone gives post-norm, pre-norm, sandwich norms and layer scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.masks import NONE, Mask
from attnviz.nn.multi_head import (
    Around,
    MultiHeadAttention,
    Recorder,
    RecordNothing,
    Site,
    Stream,
)
from attnviz.nn.norms import Norm
from attnviz.nn.scratch import Scratch
from attnviz.nn.types import Array


class Part(Protocol):
    """[n_token, d_model] -> [n_token, d_model]."""

    def __call__(self, x: Array, around: Around) -> Array: ...


class Parallel(NamedTuple):
    """The sum of several parts that read the same input."""

    parts: tuple[Part, ...]

    def __call__(self, x: Array, around: Around) -> Array:
        total = self.parts[0](x, around)
        for part in self.parts[1:]:
            total = total + part(x, around)
        return total


class Sublayer(NamedTuple):
    """x -> after(x + within(f(before(x)))); a norm or scale that is None passes through."""

    f: Part
    before: Norm | None = None
    within: Norm | None = None
    after: Norm | None = None

    def __call__(self, x: Array, around: Around) -> Array:
        y = self.f(x if self.before is None else self.before(x), around)
        if self.within is not None:
            y = self.within(y)
        y += x
        return y if self.after is None else self.after(y)


Block = tuple[Sublayer, ...]


class Stack(NamedTuple):
    """Blocks one after another, and a norm at the end if there is one."""

    name: str
    """`encoder` or `decoder`: the first part of its records' ids."""
    blocks: tuple[Block, ...]
    norm: Norm | None = None

    def __call__(
        self, stream: Stream, memory: Stream | None, recorder: Recorder, hidden: list[Array] | None
    ) -> Array:
        """[n_token, d_model] -> [n_token, d_model]; the input and each block's output go to
        `hidden`, the last of them after the final norm."""
        x = stream.x
        scratch = Scratch()
        for layer, block in enumerate(self.blocks):
            if hidden is not None:
                hidden.append(x)
            around = Around(self.name, layer, stream, memory, recorder, scratch)
            for sublayer in block:
                x = sublayer(x, around)
        if self.norm is not None:
            x = self.norm(x)
        if hidden is not None:
            hidden.append(x)
        return x


class Embedding(NamedTuple):
    """Token ids [n_token] -> [n_token, d_model]: look up, scale, add positions, normalise."""

    tokens: Callable[[Array], Array]
    """ids [n_token] -> [n_token, d_model]"""
    positions: Callable[[Array], Array] | None = None
    """positions [n_token] -> [n_token, d_model]"""
    segments: Array | None = None
    """[n_segment, d_model]: which of two sentences a token belongs to."""
    scale: float = 1.0
    """√d_model in Vaswani et al. 2017, section 3.4."""
    norm: Norm | None = None

    def __call__(self, ids: Array, positions: Array, segments: Array | None = None) -> Array:
        x = self.tokens(ids)
        if self.scale != 1:
            x = x * x.dtype.type(self.scale)
        if self.segments is not None:
            x = x + self.segments[np.zeros_like(ids) if segments is None else segments]
        if self.positions is not None:
            x = x + self.positions(positions).astype(x.dtype, copy=False)
        # feature-major, as `linear` leaves its results
        x = np.asfortranarray(x) if x.ndim == 2 else x
        return x if self.norm is None else self.norm(x)


class Input(NamedTuple):
    """What a stack reads."""

    ids: Array
    """[n_token]"""
    segments: Array | None = None
    """[n_token]"""
    mask: Mask = NONE
    """What the text itself hides: its padding, say."""


class Output(NamedTuple):
    """What a forward pass returns besides the recorded stages."""

    hidden_states: Mapping[str, list[Array]]
    """By stack: the embeddings, then each block's output, [n_token, d_model] each."""
    logits: Array | None
    """[n_token, n_vocabulary], where there is an output projection and it was asked for."""


class Transformer(NamedTuple):
    """An encoder, a decoder, or both.

    A decoder alone reads the source; with an encoder it reads the target, and its
    cross-attention the encoder's output.
    """

    encoder: Stack | None = None
    decoder: Stack | None = None
    source: Embedding | None = None
    target: Embedding | None = None
    unembed: Callable[[Array], Array] | None = None
    """[n_token, d_model] -> [n_token, n_vocabulary]"""

    @property
    def kind(self) -> str:
        stacks = (self.encoder, self.decoder)
        return "-".join(stack.name for stack in stacks if stack is not None)

    def __call__(
        self,
        source: Input,
        target: Input | None = None,
        *,
        recorder: Recorder | None = None,
        hidden_states: bool = False,
        logits: bool = False,
    ) -> Output:
        """Run the stacks, handing every attention's stages to the recorder."""
        recorder = recorder or RecordNothing()
        hidden: dict[str, list[Array]] = {}
        stream = _embed("source", self.source, source)
        memory: Stream | None = None
        for stack in (self.encoder, self.decoder):
            if stack is None:
                continue
            if memory is not None:
                if target is None:
                    raise AttnvizError(
                        "an encoder-decoder needs a target: what the decoder reads", "--target"
                    )
                stream = _embed("target", self.target, target)
            states = hidden.setdefault(stack.name, []) if hidden_states else None
            x = stack(stream, memory, recorder, states)
            memory = stream._replace(x=x)
        return Output(hidden, self.unembed(x) if logits and self.unembed is not None else None)

    def sites(self) -> list[Site]:
        """All attentions, in the order in which they compute."""
        found: list[Site] = []
        stream = "source"
        for stack in (self.encoder, self.decoder):
            if stack is None:
                continue
            if found:
                stream = "target"
            for layer, block in enumerate(stack.blocks):
                for attention in attentions(block):
                    keys = stream if attention.kind == "self" else "source"
                    found.append(attention.site(stack.name, layer, stream, keys))
        return found

    def change_attention(
        self, change: Callable[[str, MultiHeadAttention], MultiHeadAttention]
    ) -> Transformer:
        """The same transformer with every attention replaced: `change(stack's name, attention)`."""
        return self._replace(
            encoder=_change_stack(self.encoder, change),
            decoder=_change_stack(self.decoder, change),
        )


def attentions(block: Block) -> Iterator[MultiHeadAttention]:
    """The attentions among a block's sublayers."""
    for sublayer in block:
        parts = sublayer.f.parts if isinstance(sublayer.f, Parallel) else (sublayer.f,)
        yield from (part for part in parts if isinstance(part, MultiHeadAttention))


def _change_stack(
    stack: Stack | None, change: Callable[[str, MultiHeadAttention], MultiHeadAttention]
) -> Stack | None:
    if stack is None:
        return None

    def part(f: Part) -> Part:
        if isinstance(f, MultiHeadAttention):
            return change(stack.name, f)
        if isinstance(f, Parallel):
            return Parallel(tuple(part(each) for each in f.parts))
        return f

    blocks = (tuple(s._replace(f=part(s.f)) for s in block) for block in stack.blocks)
    return stack._replace(blocks=tuple(blocks))


def _embed(name: str, embedding: Embedding | None, given: Input) -> Stream:
    if embedding is None:
        raise AttnvizError(f"this transformer has no embedding for the {name}", "give it one")
    positions = np.arange(given.ids.shape[-1])
    return Stream(name, embedding(given.ids, positions, given.segments), positions, given.mask)
