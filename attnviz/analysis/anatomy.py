"""The parts of a model and how many numbers each has learned."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from attnviz.nn.embedding import PatchEmbedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.transformer import Parallel, Stack, Sublayer, Transformer
from attnviz.nn.window import WindowNet


class Organ(NamedTuple):
    """One part of a model."""

    name: str
    """`encoder.0.self`"""
    what: str
    """`4 heads, q and k 16 wide, v 16 wide`"""
    n_parameter: int


def anatomy(transformer: Transformer) -> list[Organ]:
    """All parts that have parameters, from the embedding to the output."""
    organs = []
    for stream, embedding in (("source", transformer.source), ("target", transformer.target)):
        if embedding is not None:
            patches = isinstance(embedding, PatchEmbedding)
            what = "patches and a class token" if patches else "tokens"
            organs.append(Organ(f"{stream} embedding", what, count(embedding)))
    for stack in (transformer.encoder, transformer.decoder):
        if stack is not None:
            organs += _stack(stack)
    if transformer.unembed is not None:
        organs.append(Organ("output", "", count(transformer.unembed)))
    return organs


def count(part: Any) -> int:
    """The numbers in all arrays of a part."""
    if isinstance(part, np.ndarray):
        return part.size
    if isinstance(part, tuple):
        return sum(count(each) for each in part)
    if isinstance(part, partial):
        return count(part.args) + count(tuple(part.keywords.values()))
    owner = getattr(part, "__self__", None)
    return count(owner) if isinstance(owner, tuple) else 0


def _stack(stack: Stack) -> list[Organ]:
    organs = [
        Organ(f"{stack.name}.{layer}.{_kind(f)}", _what(f, sublayer), count(f) + _norms(sublayer))
        for layer, block in enumerate(stack.blocks)
        for sublayer in block
        for f in [sublayer.f]
    ]
    if stack.norm is not None:
        organs.append(Organ(f"{stack.name}.norm", _norm(stack.norm), count(stack.norm)))
    return organs


def _norms(sublayer: Sublayer) -> int:
    return count((sublayer.before, sublayer.within, sublayer.after))


def _kind(f: Any) -> str:
    if isinstance(f, MultiHeadAttention):
        return f.kind
    if isinstance(f, Parallel):
        return "parallel"
    return "window" if isinstance(f, WindowNet) else "feed_forward"


def _what(f: Any, sublayer: Sublayer) -> str:
    place = "behind" if sublayer.after is not None else "before"
    norm = sublayer.after or sublayer.before
    about = "" if norm is None else f", {_norm(norm)} {place} it"
    if isinstance(f, MultiHeadAttention):
        d_k = len(f.query.weight) // f.n_head
        shared = "" if f.n_kv_head == f.n_head else f" sharing {f.n_kv_head} keys and values"
        mask = "" if f.mask.names == () else f", mask {'+'.join(f.mask.names)}"
        return f"{f.n_head} heads of width {d_k}{shared}{mask}{about}"
    if isinstance(f, FeedForward | WindowNet):
        d_ff, d_in = f.up.weight.shape
        return f"{d_in} → {d_ff} → {len(f.down.weight)}{about}"
    return about.removeprefix(", ")


def _norm(norm: Any) -> str:
    return {"LayerNorm": "layer norm", "RMSNorm": "RMS norm", "BatchNorm": "batch norm"}.get(
        type(norm).__name__, type(norm).__name__
    )
