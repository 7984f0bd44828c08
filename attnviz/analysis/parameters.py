"""The parts of a model and how many numbers each has learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.layers import ranges
from attnviz.nn.embedding import PatchEmbedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.mixture import Mixture
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.transformer import Branch, Parallel, Stack, Sublayer, Transformer
from attnviz.nn.weights import LazyWeight
from attnviz.nn.window import InputConvolution, WindowNet


class Component(NamedTuple):
    """One part of a model."""

    name: str
    """`encoder.0.self`"""
    what: str
    """`4 heads, q and k 16 wide, v 16 wide`"""
    n_parameter: int


def count_parameters(transformer: Transformer) -> list[Component]:
    """All parts that have parameters, from the embedding to the output.

    Weights that several parts share count for the first of them.
    """
    seen: set[int] = set()
    organs = []
    for stream, embedding in (("source", transformer.source), ("target", transformer.target)):
        if embedding is not None:
            patches = isinstance(embedding, PatchEmbedding)
            what = "patches and a class token" if patches else "tokens"
            organs.append(Component(f"{stream} embedding", what, count(embedding, seen)))
    for stack in (transformer.encoder, transformer.decoder):
        if stack is not None:
            organs += _stack(stack, seen)
    if transformer.unembed is not None:
        shared = count(transformer.unembed) - (own := count(transformer.unembed, seen))
        what = "shares the embedding's table" if shared else ""
        organs.append(Component("output", what, own))
    return organs


def together(organs: Sequence[Component]) -> list[Component]:
    """Layers of the same parts as one: `decoder.0-29.self`, with the numbers of all of them."""
    groups: dict[tuple[str, str, str], list[tuple[int, Component]]] = {}
    for organ in organs:
        stack, _, rest = organ.name.partition(".")
        layer, _, kind = rest.partition(".")
        number = int(layer) if layer.isdigit() else -1
        groups.setdefault((stack, kind or layer, organ.what), []).append((number, organ))
    merged = []
    for (stack, kind, what), members in groups.items():
        layers = ranges([number for number, _ in members if number >= 0])
        name = f"{stack}.{layers}.{kind}" if layers else members[0][1].name
        merged.append(Component(name, what, sum(organ.n_parameter for _, organ in members)))
    return merged


def count(part: Any, seen: set[int] | None = None) -> int:
    """The numbers in all arrays of a part, without those `seen`, which it adds to."""
    seen = set() if seen is None else seen
    if isinstance(part, np.ndarray | LazyWeight):
        if id(part) in seen:
            return 0
        seen.add(id(part))
        return part.size
    if isinstance(part, tuple):
        return sum(count(each, seen) for each in part)
    if isinstance(part, partial):
        return count((part.args, *part.keywords.values()), seen)
    return 0


def _stack(stack: Stack, seen: set[int]) -> list[Component]:
    organs = [
        Component(f"{stack.name}.{layer}.{_kind(s.f)}", _what(s.f, s), count(s, seen))
        for layer, block in enumerate(stack.blocks)
        for s in block
    ]
    if stack.norm is not None:
        organs.append(Component(f"{stack.name}.norm", _norm(stack.norm), count(stack.norm, seen)))
    return organs


def _kind(f: Any) -> str:
    if isinstance(f, MultiHeadAttention):
        return f.kind
    if isinstance(f, Parallel):
        return "parallel"
    return NETS.get(type(f), "feed_forward")


NETS = {WindowNet: "window", InputConvolution: "convolution"}


def _what(f: Any, sublayer: Sublayer) -> str:
    side = "behind" if sublayer.after is not None else "before"
    norm = sublayer.after or sublayer.before
    about = "" if norm is None else f", {_norm(norm)} {side} it"
    if isinstance(f, MultiHeadAttention):
        d_k = len(f.query.weight) // f.n_head
        shared = "" if f.n_kv_head == f.n_head else f" sharing {f.n_kv_head} keys and values"
        mask = "" if f.mask.names == () else f", mask {'+'.join(f.mask.names)}"
        return f"{f.n_head} heads of width {d_k}{shared}{mask}{about}"
    if isinstance(f, Parallel):
        return " + ".join(_inside(each) for each in f.parts)
    if isinstance(f, Mixture):
        d_ff, d_in = f.experts[0].up.weight.shape
        shared = "" if f.shared is None else f" and one of {len(f.shared.up.weight)} for all"
        sizes = f"{d_in} → {d_ff} → {len(f.experts[0].down.weight)}"
        return f"{f.router.top_k} of {len(f.experts)} experts {sizes}{shared}{about}"
    if isinstance(f, FeedForward | WindowNet):
        d_ff, d_in = f.up.weight.shape
        return f"{d_in} → {d_ff} → {len(f.down.weight)}{about}"
    if isinstance(f, InputConvolution):
        return f"over {len(f.convolution.weight)} tokens of what the stack was given{about}"
    return about.removeprefix(", ")


def _inside(part: Any) -> str:
    """One of several parts in parallel."""
    if isinstance(part, Branch):
        return _what(part.f, Sublayer(part.f, before=part.before))
    return _what(part, Sublayer(part))


def _norm(norm: Any) -> str:
    return {"LayerNorm": "layer norm", "RMSNorm": "RMS norm", "BatchNorm": "batch norm"}.get(
        type(norm).__name__, type(norm).__name__
    )
