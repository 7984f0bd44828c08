"""The stages of a model's forward pass, one block at a time, each from an input of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from attnviz.models.model import Model
from attnviz.nn.embedding import Input
from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention, RecordNothing, Stream, SublayerContext
from attnviz.nn.norms import Norm
from attnviz.nn.scratch import Scratch
from attnviz.nn.site import Site
from attnviz.nn.stages import MATRICES, CollectStages
from attnviz.nn.transformer import Block, Stack, Transformer, attentions, stream_of
from attnviz.nn.types import Array
from attnviz.nn.weights import Weight

IN_ATTENTION = (
    *("q_proj", "k_proj", "q", "k", "v", "scores", "logits", "weights", "context", "attended"),
)
"""The stages of an attention in the order in which they are computed; `q_proj` and `k_proj` are
queries and keys before their norm and rotation, `attended` is what the output projection gives."""


OF_BLOCKS = ("hidden", "unnormed")


class At(NamedTuple):
    """A stage of a model."""

    stack: str
    """`encoder` or `decoder`."""
    layer: int
    """Of a hidden state: that of the block that reads it; the last is what the stack gives."""
    stage: str
    """`hidden`; `unnormed`, the last hidden state before the norm at the end of the stack; one of
    IN_ATTENTION."""
    kind: str = "self"

    @property
    def name(self) -> str:
        """`decoder.0.self/q`, `decoder/hidden_states[3]`."""
        if self.stage in OF_BLOCKS:
            before = "" if self.stage == "hidden" else " before the norm"
            return f"{self.stack}/hidden_states[{self.layer}]{before}"
        return f"{self.stack}.{self.layer}.{self.kind}/{self.stage}"

    @property
    def order(self) -> tuple[int, int, int, int]:
        """In the order in which a forward pass computes them."""
        inner = -1 if self.stage in OF_BLOCKS else IN_ATTENTION.index(self.stage)
        return self.stack == "decoder", self.layer, self.kind == "cross", inner


Stages = dict[At, Array]


class _Collect(RecordNothing):
    """Keeps stages of every attention, by its kind; of matrices only those that are asked for."""

    def __init__(self, matrices: frozenset[str]) -> None:
        self.kept: dict[str, CollectStages] = {}
        self._matrices = matrices

    def open(self, site: Site) -> CollectStages:
        return self.kept.setdefault(site.kind, _Some(self._matrices))


class _Some(CollectStages):
    """Leaves out matrices that nobody asks for."""

    def __init__(self, matrices: frozenset[str]) -> None:
        super().__init__()
        self._matrices = matrices

    def wants(self, stage: str) -> bool:
        return stage not in MATRICES or stage in self._matrices

    def keep(self, stage: str, array: Array) -> None:
        if self.wants(stage):
            super().keep(stage, array)


class _Kept(NamedTuple):
    """A projection whose result is kept, [n_token, n_head·d]."""

    linear: Linear
    room: dict[tuple[str, str], Array]
    """Kind and stage -> result."""
    key: tuple[str, str]

    @property
    def weight(self) -> Weight:
        return self.linear.weight

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        y = self.linear(x)
        self.room[self.key] = y
        return y


def _keeping(block: Block, room: dict[tuple[str, str], Array]) -> Block:
    """The block with its projections of queries and keys kept."""

    def change(stack: str, a: MultiHeadAttention) -> MultiHeadAttention:
        kept = {
            name: _Kept(getattr(a, name), room, (a.kind, stage))
            for name, stage in (("query", "q_proj"), ("key", "k_proj"))
        }
        return a._replace(**kept)  # type: ignore[arg-type]

    decoder = Transformer(decoder=Stack("decoder", (block,))).change_attention(change).decoder
    assert decoder is not None
    return decoder.blocks[0]


@dataclass(frozen=True, eq=False)
class Place:
    """A block of a model, and what it reads besides its input."""

    stack: str
    layer: int
    block: Block
    stream: Stream
    memory: Stream | None
    after: Norm | None
    """The norm at the end of the stack, behind its last block."""
    matrices: frozenset[str] = frozenset(MATRICES)
    """Of `scores`, `logits`, `weights`: those that are kept."""

    def run(self, x: Array, block: Block | None = None, after: Norm | None = None) -> Stages:
        """All stages of the block, or of a changed one, that reads x [n_token, d_model]; the
        hidden state that it gives is that of the next layer."""
        block = self.block if block is None else block
        collected = _Collect(self.matrices)
        stream = self.stream._replace(x=x)
        context = SublayerContext(
            self.stack, self.layer, stream, self.memory, collected, Scratch(), None
        )
        room: dict[tuple[str, str], Array] = {}
        for sublayer in _keeping(block, room):
            x = sublayer(x, context)
        norm = after or self.after
        last: Stages = {}
        if norm is not None:
            last[At(self.stack, self.layer + 1, "unnormed")] = x
            x = norm(x)
        projected = {
            At(self.stack, self.layer, stage, a.kind): split_heads(room[a.kind, stage], n_head)
            for a in attentions(block)
            for stage, n_head in (("q_proj", a.n_head), ("k_proj", a.n_kv_head))
        }
        inside = self._inside(block, collected)
        return {**projected, **inside, **last, At(self.stack, self.layer + 1, "hidden"): x}

    def _inside(self, block: Block, collected: _Collect) -> Stages:
        found: Stages = {}
        for attention in attentions(block):
            kept = collected.kept[attention.kind].stages
            for stage in (*IN_ATTENTION[2:-1], "mask"):
                if stage in kept:
                    found[At(self.stack, self.layer, stage, attention.kind)] = kept[stage]
            if "context" in kept:
                at = At(self.stack, self.layer, "attended", attention.kind)
                found[at] = attended(attention, kept["context"])
        return found


def attended(attention: MultiHeadAttention, context: Array) -> Array:
    """[n_head, n_q, d_v] -> [n_q, d_model]"""
    if attention.gate is not None:
        context = attention.gate(context)
    return attention.output(merge_heads(context))


def embedded(model: Model, stack: Stack, inputs: Mapping[str, Input]) -> Stream:
    """What the first block of a stack reads."""
    transformer = model.transformer
    is_target = stack.name == "decoder" and transformer.encoder is not None
    name = "target" if is_target else "source"
    embed = transformer.target if is_target else transformer.source
    return stream_of(name, embed, inputs[name])


def stacks(model: Model) -> Sequence[Stack]:
    """In the order in which they run."""
    both = (model.transformer.encoder, model.transformer.decoder)
    return [stack for stack in both if stack is not None]


def places(
    stack: Stack, stream: Stream, memory: Stream | None, matrices: Callable[[int], frozenset[str]]
) -> Iterator[Place]:
    """Every block of a stack; `matrices` of its number are those that are kept."""
    last = len(stack.blocks) - 1
    for layer, block in enumerate(stack.blocks):
        after = stack.norm if layer == last else None
        yield Place(stack.name, layer, block, stream, memory, after, matrices(layer))
