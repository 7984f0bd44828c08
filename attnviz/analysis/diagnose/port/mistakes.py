"""What goes wrong when a checkpoint is ported, beside attention itself: projections, rotations,
norms, residuals, feed-forward nets.

Each is a function from a block to blocks that somebody wrote instead of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from attnviz.language import to_say
from attnviz.nn.activations import gelu, gelu_tanh, relu, silu
from attnviz.nn.embedding import Embedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.linear import Linear, Projection
from attnviz.nn.multi_head import MultiHeadAttention, Rotary, SublayerContext
from attnviz.nn.norms import AcrossHeads, LayerNorm, RMSNorm
from attnviz.nn.positions import frequencies
from attnviz.nn.rotary import RotaryEmbedding
from attnviz.nn.transformer import (
    Block,
    ResidualOfNorm,
    Stack,
    Sublayer,
    Transformer,
    attentions,
)
from attnviz.nn.types import Array
from attnviz.registry import Entry, Registry

BASES = (1e4, 5e5, 1e6, 1e5, 5e6, 1e7)
EPSILONS = (1e-5, 1e-6, 1e-12, 1e-8)
ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": relu, "silu": silu}


class Change(NamedTuple):
    """A block that somebody wrote instead."""

    block: Block
    words: str = ""
    """What the entry's title does not say: `base 10000`."""
    id: str = ""
    """Of the catalogue, where it is not the entry's."""


@dataclass(frozen=True)
class PortMistakeEntry(Entry):
    """A function `(Block) -> Iterator[Change]`."""

    id: str = ""
    """Of the catalogue; `port` where it has none."""
    title: str = ""
    """What was done, as it follows `your numbers are what you get with`: to be said."""


PORT_MISTAKES: Registry[PortMistakeEntry] = Registry("mistake of a port", PortMistakeEntry)


def every_attention(
    block: Block, change: Callable[[MultiHeadAttention], MultiHeadAttention]
) -> Block:
    """The block with all its attentions changed."""
    stack = Stack("decoder", (block,))
    changed = Transformer(decoder=stack).change_attention(lambda _, a: change(a)).decoder
    assert changed is not None
    return changed.blocks[0]


def _fields(block: Block, words: str = "", /, **fields: Any) -> Change:
    """With these fields of every self-attention changed."""

    def change(a: MultiHeadAttention) -> MultiHeadAttention:
        return a._replace(**fields) if a.kind == "self" else a

    return Change(every_attention(block, change), words)


def _own(block: Block) -> MultiHeadAttention | None:
    """The self-attention of a block."""
    return next((a for a in attentions(block) if a.kind == "self"), None)


# rotations


@PORT_MISTAKES.add(id="O1", title=to_say("RoPE with pairs of the other style"))
def other_pairs(block: Block) -> Iterator[Change]:
    """Interleaved pairs (2i, 2i+1) and half-split ones (i, i + d/2) taken for each other."""
    own = _own(block)
    if own is None or own.rotary is None:
        return
    width = rotated_width(own)
    order = np.r_[np.arange(0, width, 2), np.arange(1, width, 2)]
    for places, words in ((order, "interleaved"), (np.argsort(order), "half-split")):
        yield _fields(block, words, rotary=partial(_reordered, own.rotary, places))


@PORT_MISTAKES.add(id="O3", title=to_say("no RoPE"))
def no_rotation(block: Block) -> Iterator[Change]:
    """Queries and keys are not rotated."""
    own = _own(block)
    if own is not None and own.rotary is not None:
        yield _fields(block, rotary=None)


@PORT_MISTAKES.add(id="O2", title=to_say("RoPE with other frequencies"))
def other_frequencies(block: Block) -> Iterator[Change]:
    """Another base, frequencies that are not scaled, or those of another width."""
    own = _own(block)
    if own is None or not isinstance(own.rotary, RotaryEmbedding):
        return
    rotary, width, d_head = own.rotary, rotated_width(own), _d_head(own)
    if len(rotary.frequencies) > 1:
        base = float((rotary.frequencies[0] / rotary.frequencies[1]) ** (width / 2))
        bases = {"scaling left out": base, **{f"base {each:g}": each for each in BASES}}
        for words, each in bases.items():
            plain = frequencies(width, each)
            if not np.allclose(plain, rotary.frequencies, rtol=1e-6):
                made = RotaryEmbedding(plain, rotary.gain, rotary.style)
                yield _fields(block, words, rotary=made)
        if width < d_head:
            whole = RotaryEmbedding(frequencies(d_head, base), rotary.gain, rotary.style)
            yield _fields(block, "all features rotated", rotary=whole)
            wide = base ** (-np.arange(0, width, 2) / d_head)
            made = RotaryEmbedding(wide, rotary.gain, rotary.style)
            yield _fields(block, "the frequencies of the whole head", rotary=made)
    if rotary.gain != 1:
        made = RotaryEmbedding(rotary.frequencies, 1.0, rotary.style)
        yield _fields(block, "without the attention factor", rotary=made)


@PORT_MISTAKES.add(id="O3", title=to_say("RoPE at other positions"))
def other_positions(block: Block) -> Iterator[Change]:
    """Positions that are one off, that run backwards, or of the queries only."""
    own = _own(block)
    if own is None or own.rotary is None:
        return
    for shift in (1, -1):
        yield _fields(block, f"{shift:+d}", rotary=partial(_shifted, own.rotary, shift))
    yield _fields(block, "rotated backwards", rotary=partial(_backwards, own.rotary))


def rotated_width(attention: MultiHeadAttention) -> int:
    """How many features of a head its rotation changes."""
    assert attention.rotary is not None
    x = np.random.default_rng(0).normal(size=(1, 1, _d_head(attention)))
    changed = np.flatnonzero(attention.rotary(x, np.array([1])) != x)
    return int(changed[-1] + 2) // 2 * 2 if changed.size else 0


def _d_head(attention: MultiHeadAttention) -> int:
    return attention.query.weight.shape[0] // attention.n_head


def _reordered(rotary: Rotary, places: Array, x: Array, positions: Array) -> Array:
    order = np.r_[places, np.arange(len(places), x.shape[-1])]
    y = np.empty_like(x)
    y[..., order] = rotary(x[..., order], positions)
    return y


def _shifted(rotary: Rotary, shift: int, x: Array, positions: Array) -> Array:
    return rotary(x, positions + shift)


def _backwards(rotary: Rotary, x: Array, positions: Array) -> Array:
    return rotary(x, -positions)


# projections


@PORT_MISTAKES.add(id="L6", title=to_say("a bias left out"))
def no_bias(block: Block) -> Iterator[Change]:
    """A projection of attention without its bias; one, or all."""
    own = _own(block)
    if own is None:
        return
    names = [n for n in ("query", "key", "value", "output") if getattr(own, n).bias is not None]
    groups = [[name] for name in names] + ([names] if len(names) > 1 else [])
    for group in groups:
        fields = {name: getattr(own, name)._replace(bias=None) for name in group}
        yield _fields(block, ", ".join(group), **fields)


@PORT_MISTAKES.add(id="L6", title=to_say("a weight transposed"))
def transposed(block: Block) -> Iterator[Change]:
    """A square weight used as it lies in the file of a framework that stores the transpose."""
    own = _own(block)
    if own is None:
        return
    for name in ("query", "key", "value", "output"):
        each = getattr(own, name)
        if each.weight.shape[0] == each.weight.shape[1]:
            turned = each._replace(weight=np.ascontiguousarray(np.asarray(each.weight).T))
            yield _fields(block, name, **{name: turned})
    square = own.query.weight.shape[0] == own.query.weight.shape[1]
    if square and own.n_head == own.n_kv_head:
        yield _fields(block, "query, key, value", **{
            name: getattr(own, name)._replace(weight=np.asarray(getattr(own, name).weight).T.copy())
            for name in ("query", "key", "value")
        })  # fmt: skip


@PORT_MISTAKES.add(id="R1", title=to_say("projections taken for each other"))
def swapped_projections(block: Block) -> Iterator[Change]:
    """Queries for keys, keys for values."""
    own = _own(block)
    if own is None:
        return
    for a, b in (("key", "value"), ("query", "key"), ("query", "value")):
        one, other = getattr(own, a), getattr(own, b)
        if one.weight.shape == other.weight.shape:
            yield _fields(block, f"{a}, {b}", **{a: other, b: one})
    if own.key.weight.shape == own.value.weight.shape:
        yield _fields(block, "value from key", value=own.key)
        yield _fields(block, "key from value", key=own.value)


@PORT_MISTAKES.add(id="L5", title=to_say("a fused projection of q, k and v split otherwise"))
def fused_otherwise(block: Block) -> Iterator[Change]:
    """All of q, k and v one after another, or head by head."""
    own = _own(block)
    if own is None or own.n_head != own.n_kv_head:
        return
    linears = (own.query, own.key, own.value)
    if len({each.weight.shape for each in linears}) > 1:
        return
    n_head, d = own.n_head, _d_head(own)
    whole = np.stack([np.asarray(each.weight) for each in linears])  # [3, n_head·d, d_model]
    biases = [each.bias for each in linears]
    given = [bias for bias in biases if bias is not None]
    biased = np.stack(given) if len(given) == 3 else None

    def by_head(x: Array) -> Array:
        tail = x.shape[2:]
        return x.reshape(n_head, 3, d, *tail).swapaxes(0, 1).reshape(3, n_head * d, *tail)

    def in_turn(x: Array) -> Array:
        tail = x.shape[2:]
        return x.reshape(3, n_head, d, *tail).swapaxes(0, 1).reshape(3, n_head * d, *tail)

    for words, order in (("head by head", by_head), ("one after another", in_turn)):
        weights = order(whole)
        shifts = [None] * 3 if biased is None else list(order(biased))
        made = [Linear(w, b) for w, b in zip(weights, shifts, strict=True)]
        yield _fields(block, words, query=made[0], key=made[1], value=made[2])


class Reshaped(NamedTuple):
    """A projection whose result, or input, is reshaped into heads without a transpose."""

    linear: Linear
    n_head: int
    is_output: bool

    @property
    def weight(self) -> Any:
        return self.linear.weight

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        n = x.shape[-2]
        if self.is_output:
            heads = np.ascontiguousarray(split_heads(x, self.n_head))
            return self.linear(heads.reshape(n, -1))
        y = np.ascontiguousarray(self.linear(x))
        return merge_heads(y.reshape(self.n_head, n, -1))


@PORT_MISTAKES.add(id="L1", title=to_say("heads split or merged by a reshape without a transpose"))
def no_transpose(block: Block) -> Iterator[Change]:
    """[n, n_head·d] read as [n_head, n, d], or the other way round."""
    own = _own(block)
    if own is None or own.n_head < 2:
        return
    yield _fields(block, "output", output=Reshaped(own.output, own.n_head, True))
    made = {
        name: Reshaped(getattr(own, name), n, False)
        for name, n in (("query", own.n_head), ("key", own.n_kv_head), ("value", own.n_kv_head))
    }
    yield _fields(block, "query, key, value", **made)
    for name, each in made.items():
        yield _fields(block, name, **{name: each})


@PORT_MISTAKES.add(id="G1", title=to_say("key/value heads tiled, not repeated"))
def tiled_heads(block: Block) -> Iterator[Change]:
    """Head h reads the key/value head h mod n_kv_head."""
    own = _own(block)
    if own is None or own.n_kv_head in (1, own.n_head):
        return
    which = np.arange(own.n_head) % own.n_kv_head
    yield _fields(
        block,
        key=_heads_of(own.key, own.n_kv_head, which),
        value=_heads_of(own.value, own.n_kv_head, which),
        n_kv_head=own.n_head,
    )


def _heads_of(linear: Projection, n_head: int, which: Array) -> Linear:
    weight = np.asarray(linear.weight)
    heads = weight.reshape(n_head, -1, weight.shape[1])[which]
    bias = None if linear.bias is None else linear.bias.reshape(n_head, -1)[which].reshape(-1)
    return Linear(heads.reshape(-1, weight.shape[1]), bias)


# inside attention: of ports that dump only what blocks give


@PORT_MISTAKES.add(id="S1", title=to_say("another scale"))
def other_scale(block: Block) -> Iterator[Change]:
    """None, 1/d, 1/√d_model, or the default where the model has its own."""
    own = _own(block)
    if own is None:
        return
    d, d_model = _d_head(own), own.query.weight.shape[1]
    now = own.scale if own.scale is not None else d**-0.5
    scales = (
        ("S1", "1", 1.0), ("S2", "1/√d_model", d_model**-0.5), ("S8", "1/√d_k", d**-0.5),
        ("S3", "1/d_k", 1 / d), ("S4", "applied twice", now * now), ("S5", "√d_k", d**0.5),
        ("S6", "1/√n_head", own.n_head**-0.5),
    )  # fmt: skip
    for id, words, scale in scales:
        if not np.isclose(scale, now):
            yield _fields(block, words, scale=scale)._replace(id=id)


@PORT_MISTAKES.add(id="M6", title=to_say("another mask"))
def other_mask(block: Block) -> Iterator[Change]:
    """A rule dropped, a causal mask where there is none, a window that is one off."""
    from attnviz.nn.masks import CAUSAL, Mask, parse

    own = _own(block)
    if own is None:
        return
    for rule in own.mask.rules:
        rest = Mask(tuple(each for each in own.mask.rules if each is not rule))
        yield _fields(block, f"without {rule[0]}", mask=rest)
        size = rule[0].partition("size=")[2]
        for other in (int(size) + 1, int(size) - 1) if size.isdigit() else ():
            if other > 0:
                name = f"window:size={other}"
                yield _fields(block, name, mask=rest + parse(name))._replace(id="W1")
    if "causal" not in own.mask.names:
        yield _fields(block, "causal", mask=own.mask + CAUSAL)._replace(id="M24")


@PORT_MISTAKES.add(id="P1", title=to_say("a part of attention left out"))
def part_left_out(block: Block) -> Iterator[Change]:
    """The softcap, the bias of positions, the sinks."""
    own = _own(block)
    if own is None:
        return
    for name in ("softcap", "bias", "sinks"):
        if getattr(own, name) is not None:
            yield _fields(block, name, **{name: None})


# norms


@PORT_MISTAKES.add(id="N1", title=to_say("another norm of queries and keys"))
def other_head_norm(block: Block) -> Iterator[Change]:
    """Left out, after the rotation, or one for both."""
    own = _own(block)
    if own is None or own.query_norm is None or own.key_norm is None:
        return
    yield _fields(block, "left out", query_norm=None, key_norm=None)
    yield _fields(block, "left out of queries", query_norm=None)
    yield _fields(block, "left out of keys", key_norm=None)
    yield _fields(block, "that of queries for both", key_norm=own.query_norm)
    yield _fields(block, "that of keys for both", query_norm=own.key_norm)
    for words, norm in [*_other_norms(own.query_norm)][1:]:
        keys = dict(_other_norms(own.key_norm))
        yield _fields(block, words, query_norm=norm, key_norm=keys.get(words, own.key_norm))


@PORT_MISTAKES.add(id="port", title=to_say("another norm"))
def other_norm(block: Block) -> Iterator[Change]:
    """A norm left out, with another ε, with or without its mean, its shift, or 1 + gain."""
    for number, sublayer in enumerate(block):
        for field in ("before", "within", "after"):
            norm = getattr(sublayer, field)
            if norm is None:
                continue
            for words, made in _other_norms(norm):
                changed = sublayer._replace(**{field: made})
                where = f"{field} {_what(sublayer)}"
                yield Change((*block[:number], changed, *block[number + 1 :]), f"{where}: {words}")


def _other_norms(norm: Any) -> Iterator[tuple[str, Any]]:
    yield "left out", None
    if isinstance(norm, AcrossHeads):
        for words, made in [*_other_norms(norm.norm)][1:]:
            yield words, AcrossHeads(made)
    if not isinstance(norm, LayerNorm | RMSNorm):
        return
    if norm.gain is not None:
        yield "1 + gain", norm._replace(gain=norm.gain + 1)
        yield "gain - 1", norm._replace(gain=norm.gain - 1)
        yield "without gain", norm._replace(gain=None)
    for eps in EPSILONS:
        if eps != norm.eps:
            yield f"ε = {eps:g}", norm._replace(eps=eps)
    if isinstance(norm, LayerNorm):
        if norm.bias is not None:
            yield "without shift", norm._replace(bias=None)
        yield "RMS norm", RMSNorm(norm.gain, norm.eps)
        yield "variance over n - 1", Unbiased(norm)
    else:
        yield "layer norm", LayerNorm(norm.gain, None, norm.eps)


class Unbiased(NamedTuple):
    """A layer norm by the unbiased deviation, as `torch.std` has it."""

    norm: LayerNorm

    def __call__(self, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        y = centred / (x.std(-1, ddof=1, keepdims=True) + x.dtype.type(self.norm.eps))
        y = np.asarray(y if self.norm.gain is None else y * self.norm.gain)
        return y if self.norm.bias is None else y + self.norm.bias


def _what(sublayer: Sublayer) -> str:
    return "the feed-forward net" if isinstance(sublayer.f, FeedForward) else "attention"


# residuals and feed-forward nets


class WithoutResidual(Sublayer):
    """after(within(f(before(x))))"""

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        y = self.f(x if self.before is None else self.before(x), context)
        y = y if self.within is None else self.within(y)
        return y if self.after is None else self.after(y)


@PORT_MISTAKES.add(id="port", title=to_say("another residual"))
def other_residual(block: Block) -> Iterator[Change]:
    """Left out, or with the norm on its other side."""
    for number, sublayer in enumerate(block):
        f, before, within, after = sublayer
        made: dict[str, Sublayer] = {"left out": WithoutResidual(*sublayer)}
        if before is not None:
            made["norm after, not before"] = Sublayer(f, None, within, before)
            made["of what the norm gives"] = ResidualOfNorm(*sublayer)
        if after is not None:
            made["norm before, not after"] = Sublayer(f, after, within, None)
        for words, changed in made.items():
            blocks = (*block[:number], changed, *block[number + 1 :])
            yield Change(blocks, f"{_what(sublayer)}: {words}")


@PORT_MISTAKES.add(id="port", title=to_say("another feed-forward net"))
def other_net(block: Block) -> Iterator[Change]:
    """Another activation, gate and up taken for each other, a bias left out."""
    for number, sublayer in enumerate(block):
        net = sublayer.f
        if not isinstance(net, FeedForward):
            continue
        made = {name: net._replace(activation=a) for name, a in ACTIVATIONS.items()
                if a is not net.activation}  # fmt: skip
        if net.gate is not None:
            made["gate and up swapped"] = net._replace(gate=net.up, up=net.gate)
        for name in ("up", "down"):
            if getattr(net, name).bias is not None:
                without = getattr(net, name)._replace(bias=None)
                made[f"no bias of {name}"] = net._replace(**{name: without})
        for words, each in made.items():
            changed = sublayer._replace(f=each)
            yield Change((*block[:number], changed, *block[number + 1 :]), words)


# embeddings


def other_embeddings(embed: Embedding) -> Iterator[tuple[str, Embedding]]:
    """What somebody embeds instead: how, and the embedding."""
    if embed.scale != 1:
        yield to_say("embeddings that are not scaled"), embed._replace(scale=1.0)
    if embed.positions is not None:
        yield to_say("no positions added to the embeddings"), embed._replace(positions=None)
        for shift in (1, 2, -1, -2):
            moved = partial(_moved, embed.positions, shift)
            text = to_say("positions that are {shift} off", shift=f"{shift:+d}")
            yield text, embed._replace(positions=moved, place=embed.place)
    if embed.segments is not None:
        yield to_say("no segments added to the embeddings"), embed._replace(segments=None)
    if embed.norm is not None:
        for words, norm in _other_norms(embed.norm):
            text = to_say("another norm of the embeddings: {how}", how=words)
            yield text, embed._replace(norm=norm)
    if embed.widen is not None and embed.widen.bias is not None:
        plain = embed._replace(widen=embed.widen._replace(bias=None))
        yield to_say("a bias left out"), plain


def _moved(positions: Callable[[Array], Array], shift: int, at: Array) -> Array:
    return positions(np.maximum(at + shift, 0))
