"""A transformer, put together from the other parts.

A stack is a list of blocks; a block is a list of residual sublayers, each
`after(x + within(f(before(x))))`, where f is attention, a feed-forward net, or several of them
in parallel. That alone gives post-norm, pre-norm, sandwich norms and layer scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.cache import Cache
from attnviz.nn.embedding import Embed, Input, PatchEmbedding, Unembed
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.mixture import Mixture
from attnviz.nn.multi_head import (
    MultiHeadAttention,
    Recorder,
    RecordNothing,
    Share,
    Stream,
    SublayerContext,
)
from attnviz.nn.norms import LayerNorm, Norm, RMSNorm, Scale
from attnviz.nn.pooling import TextHead
from attnviz.nn.scratch import Scratch
from attnviz.nn.site import Site
from attnviz.nn.threads import Team, in_team, parts_of, suited_to
from attnviz.nn.types import Array


class Part(Protocol):
    """[n_token, d_model] -> [n_token, d_model]."""

    def __call__(self, x: Array, context: SublayerContext) -> Array: ...


class Parallel(NamedTuple):
    """The sum of several parts that read the same input."""

    parts: tuple[Part, ...]

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        total = self.parts[0](x, context)
        for part in self.parts[1:]:
            total = total + part(x, context)
        return total


class Branch(NamedTuple):
    """One of several parts in parallel, with a norm of its own before it."""

    f: Part
    before: Norm

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        return self.f(self.before(x), context)


class Sublayer(NamedTuple):
    """x -> after(x + within(f(before(x)))); a norm or scale that is None passes through."""

    f: Part
    before: Norm | None = None
    within: Norm | None = None
    after: Norm | None = None

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        y = self.f(x if self.before is None else self.before(x), context)
        if self.within is not None:
            y = self.within(y)
        y += self.residual(x)
        return y if self.after is None else self.after(y)

    def residual(self, x: Array) -> Array:
        """What is added to the part's output."""
        return x


class ResidualOfNorm(Sublayer):
    """x -> after(before(x) + within(f(before(x)))): the residual is taken from behind the norm.
    Source: Megatron-LM's `apply_residual_connection_post_layernorm`."""

    def residual(self, x: Array) -> Array:
        return x if self.before is None else self.before(x)


Block = tuple[Sublayer, ...]


class Stack(NamedTuple):
    """Blocks one after another, and a norm at the end if there is one."""

    name: str
    """`encoder` or `decoder`: the first part of its records' ids."""
    blocks: tuple[Block, ...]
    norm: Norm | None = None

    def __call__(
        self,
        stream: Stream,
        memory: Stream | None,
        recorder: Recorder,
        hidden: list[Array] | None = None,
        cache: Cache | None = None,
    ) -> Array:
        """[n_token, d_model] -> [n_token, d_model]; the input and each block's output go to
        `hidden`, the last of them after the final norm."""
        n_token, n_part = stream.x.shape[-2], self.n_part(stream.x.shape)
        common = Scratch()

        def carry(number: int, team: Team) -> tuple[Array, list[Array]]:
            rows = team.part(number, n_token)
            share = Share(team, number, rows, stream.positions[rows], common)
            return self._carry(share, stream, memory, recorder, cache, hidden is not None)

        with suited_to(self._work(stream.x.shape) if n_part == 1 else 0):
            parts = in_team(n_part, carry)
        if hidden is not None:
            hidden += map(_joined, zip(*(states for _, states in parts), strict=True))
        return _joined([x for x, _ in parts])

    def n_part(self, shape: tuple[int, ...]) -> int:
        """Among how many threads the rows of an input [n_token, d_model] are divided."""
        n = parts_of(shape[-2], self._work(shape))
        return n if n > 1 and self._is_by_row else 1

    def _work(self, shape: tuple[int, ...]) -> int:
        """About how many numbers are multiplied: by blocks of the usual widths, n·d·4d twice and
        n·d·d four times, and in attention n·n·d twice."""
        n, d = shape[-2:]
        return len(self.blocks) * math.prod(shape) * (12 * d + 2 * n)

    @property
    def _is_by_row(self) -> bool:
        """Whether a token's row needs no other one but in attention."""
        sublayers = [sublayer for block in self.blocks for sublayer in block]
        norms = [self.norm, *(x for s in sublayers for x in (s.before, s.within, s.after))]
        return all(_is_by_row(part) for part in [*norms, *(s.f for s in sublayers)])

    def _carry(
        self,
        share: Share,
        stream: Stream,
        memory: Stream | None,
        recorder: Recorder,
        cache: Cache | None,
        keeps_hidden: bool,
    ) -> tuple[Array, list[Array]]:
        """A thread's rows, through all blocks."""
        x, scratch, hidden = stream.x[..., share.rows, :], Scratch(), []
        for layer, block in enumerate(self.blocks):
            if keeps_hidden:
                hidden.append(x)
            context = SublayerContext(
                self.name, layer, stream, memory, recorder, scratch, cache, share
            )
            for sublayer in block:
                x = sublayer(x, context)
        if self.norm is not None:
            x = self.norm(x)
        if keeps_hidden:
            hidden.append(x)
        return x, hidden


def _joined(parts: Sequence[Array]) -> Array:
    """The rows of all threads, one after another."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, -2)


def _is_by_row(part: object) -> bool:
    if isinstance(part, Parallel):
        return all(map(_is_by_row, part.parts))
    if isinstance(part, Branch):
        return _is_by_row(part.f) and _is_by_row(part.before)
    return part is None or isinstance(part, BY_ROW)


BY_ROW = (MultiHeadAttention, FeedForward, Mixture, LayerNorm, RMSNorm, Scale)
"""Parts that give a row of their input a row of their output, whatever the others hold: but
attention, which looks at the keys and values of all rows together."""


class Output(NamedTuple):
    """What a forward pass returns besides the recorded stages."""

    hidden_states: Mapping[str, list[Array]]
    """By stack: the embeddings, then each block's output, [n_token, d_model] each."""
    last: Array
    """[n_token, d_model]: what comes out of the last stack."""
    logits: Array | None
    """[n_token, n_vocabulary], or what a head gives that answers; where there is an output and it
    was asked for."""


class Transformer(NamedTuple):
    """An encoder, a decoder, or both.

    A decoder alone reads the source; with an encoder it reads the target, and its
    cross-attention the encoder's output.
    """

    encoder: Stack | None = None
    decoder: Stack | None = None
    source: Embed | None = None
    target: Embed | None = None
    unembed: Unembed | None = None

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
        memory: Stream | None = None
        if self.encoder is not None:
            states = hidden.setdefault("encoder", []) if hidden_states else None
            memory = self.encode(source, recorder, states)
            x = memory.x
        if self.decoder is not None:
            if memory is not None and target is None:
                raise AttnvizError(
                    "an encoder-decoder needs a target: what the decoder reads", "--target"
                )
            states = hidden.setdefault("decoder", []) if hidden_states else None
            x = self.decode(source if target is None else target, memory, recorder, states)
        return Output(hidden, x, self.output(x, source) if logits else None)

    def output(self, x: Array, source: Input) -> Array | None:
        """[n_token, d_model] of the last stack -> the logits, [n_token, n_vocabulary] or those of
        a head that answers; None where there is none. `source` is what the first stack read."""
        if isinstance(self.unembed, TextHead):
            return self.unembed(x, source)
        return None if self.unembed is None else self.unembed(x)

    def encode(
        self, source: Input, recorder: Recorder, hidden: list[Array] | None = None
    ) -> Stream:
        """The encoder's output: what the decoder's cross-attention looks at."""
        assert self.encoder is not None
        stream = stream_of("source", self.source, source)
        return stream._replace(x=self.encoder(stream, None, recorder, hidden))

    def decode(
        self,
        inputs: Input,
        memory: Stream | None,
        recorder: Recorder,
        hidden: list[Array] | None = None,
        cache: Cache | None = None,
    ) -> Array:
        """[n_token, d_model] of the decoder's tokens; with a cache, `inputs` holds the new ones
        only, and `inputs.first` says how many came before them."""
        assert self.decoder is not None
        name, embed = ("source", self.source) if memory is None else ("target", self.target)
        return self.decoder(stream_of(name, embed, inputs), memory, recorder, hidden, cache)

    def sites(self) -> list[Site]:
        """All attentions, in the order in which they compute."""
        sites: list[Site] = []
        stream = "source"
        for stack in (self.encoder, self.decoder):
            if stack is None:
                continue
            if sites:
                stream = "target"
            for layer, block in enumerate(stack.blocks):
                for attention in attentions(block):
                    keys = stream if attention.kind == "self" else "source"
                    sites.append(attention.site(stack.name, layer, stream, keys))
        return sites

    def attention(self, id: str) -> MultiHeadAttention:
        """The attention of a record id. Raises KeyError if there is none."""
        named = {
            str(attention.site(stack.name, layer, "", "").id): attention
            for stack in (self.encoder, self.decoder)
            if stack is not None
            for layer, block in enumerate(stack.blocks)
            for attention in attentions(block)
        }
        return named[id]

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
        yield from _within(sublayer.f)


def _within(part: Part) -> Iterator[MultiHeadAttention]:
    if isinstance(part, MultiHeadAttention):
        yield part
    elif isinstance(part, Branch):
        yield from _within(part.f)
    elif isinstance(part, Parallel):
        for each in part.parts:
            yield from _within(each)


def _change_stack(
    stack: Stack | None, change: Callable[[str, MultiHeadAttention], MultiHeadAttention]
) -> Stack | None:
    if stack is None:
        return None

    def part(f: Part) -> Part:
        if isinstance(f, MultiHeadAttention):
            return change(stack.name, f)
        if isinstance(f, Branch):
            return f._replace(f=part(f.f))
        if isinstance(f, Parallel):
            return Parallel(tuple(part(each) for each in f.parts))
        return f

    blocks = (tuple(s._replace(f=part(s.f)) for s in block) for block in stack.blocks)
    return stack._replace(blocks=tuple(blocks))


def stream_of(name: str, embedding: Embed | None, inputs: Input) -> Stream:
    """What a stack reads, x [n_token, d_model], with what belongs to it."""
    if embedding is None:
        raise AttnvizError(f"this transformer has no embedding for the {name}", "give it one")
    x = embedding(inputs)
    positions = np.arange(inputs.first, inputs.first + x.shape[-2])
    grid = None
    if isinstance(embedding, PatchEmbedding) and inputs.pixels is not None:
        grid = embedding.grid(inputs.pixels)
    return Stream(name, x, positions, inputs.mask, grid)
