"""A model without some of its heads: the same weights, other contexts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.nn.attention import Keep, KeepNothing
from attnviz.nn.embedding import Input
from attnviz.nn.gate import Gate
from attnviz.nn.multi_head import Bias, MultiHeadAttention
from attnviz.nn.scores import Score
from attnviz.nn.site import RecordId, Site
from attnviz.nn.transformer import Stack, Transformer
from attnviz.nn.types import Array
from attnviz.trace.selection import Head


class Ablation(Protocol):
    """What is done to the attention of an id, to take some of its heads out."""

    def __call__(
        self, id: RecordId, attention: MultiHeadAttention, heads: list[int], /
    ) -> MultiHeadAttention: ...


def ablate(transformer: Transformer, heads: Collection[Head], how: Ablation) -> Transformer:
    """The same transformer without these heads; blocks that lose none are the very same."""
    sites = iter(transformer.sites())

    def change(stack: str, attention: MultiHeadAttention) -> MultiHeadAttention:
        id = next(sites).id
        lost = [head.number for head in heads if head.id == id]
        return how(id, attention, sorted(lost)) if lost else attention

    changed = transformer.change_attention(change)
    touched = {head.id.place for head in heads}
    return changed._replace(
        encoder=_share(changed.encoder, transformer.encoder, touched),
        decoder=_share(changed.decoder, transformer.decoder, touched),
    )


def zero(id: RecordId, attention: MultiHeadAttention, heads: list[int]) -> MultiHeadAttention:
    """The heads' contexts are 0. Source: Michel et al. 2019, section 2.3."""
    return attention._replace(gate=Gate(_all_but(heads, attention.n_head)))


class Scaled(NamedTuple):
    """The heads' contexts are multiplied by numbers of their own."""

    factors: Mapping[Head, float]

    def __call__(
        self, id: RecordId, attention: MultiHeadAttention, heads: list[int]
    ) -> MultiHeadAttention:
        opening = np.ones(attention.n_head)
        opening[heads] = [self.factors[Head(id, head)] for head in heads]
        return attention._replace(gate=Gate(opening))


class Mean(NamedTuple):
    """The heads' contexts are what they are on average, whoever asks."""

    contexts: Mapping[str, Array]
    """By the attention's id: [n_head, d_v], as `mean_contexts` finds them."""

    def __call__(
        self, id: RecordId, attention: MultiHeadAttention, heads: list[int]
    ) -> MultiHeadAttention:
        opening = _all_but(heads, attention.n_head)
        return attention._replace(gate=Gate(opening, self.contexts[id]))


def uniform(id: RecordId, attention: MultiHeadAttention, heads: list[int]) -> MultiHeadAttention:
    """The heads spread their weights evenly over the keys that each query sees: their scores and
    biases do not matter, and no sink takes anything from them."""
    sinks = attention.sinks
    if sinks is not None:
        sinks = np.array(sinks, np.result_type(sinks, np.float32))
        sinks[heads] = -np.inf
    bias = None if attention.bias is None else _BiasBut(attention.bias, heads, attention.n_head)
    return attention._replace(
        score=partial(_scores_but, heads, attention.score), bias=bias, sinks=sinks
    )


def mean_contexts(
    transformer: Transformer, texts: Iterable[Mapping[str, Input]]
) -> dict[str, Array]:
    """Every attention's context [n_head, d_v], averaged over all positions of all texts; of each
    text its inputs by stream."""
    means = _Means()
    for inputs in texts:
        transformer(inputs["source"], inputs.get("target"), recorder=means)
    return {id: total / means.counts[id] for id, total in means.totals.items()}


def _scores_but(
    heads: list[int], own: Score, q: Array, k: Array, *, scale: float | None = None
) -> Array:
    """A score, 0 for some heads."""
    scores = own(q, k) if scale is None else own(q, k, scale=scale)
    scores[..., heads, :, :] = 0
    return scores


class _BiasBut(NamedTuple):
    """A bias, 0 for some heads but where it masks."""

    bias: Bias
    heads: list[int]
    n_head: int

    def __call__(self, q_pos: Array, k_pos: Array) -> Array:
        bias = self.bias(q_pos, k_pos)
        bias = np.array(np.broadcast_to(bias, (*bias.shape[:-3], self.n_head, *bias.shape[-2:])))
        own = bias[..., self.heads, :, :]
        bias[..., self.heads, :, :] = np.where(np.isneginf(own), own, 0)
        return bias


class _Means:
    """A recorder that adds contexts up and keeps none."""

    def __init__(self) -> None:
        self.totals: dict[str, Array] = {}
        self.counts: dict[str, int] = {}

    def open(self, site: Site) -> Keep:
        return _ContextSum(self, site.id)


class _ContextSum(KeepNothing):
    def __init__(self, means: _Means, id: str) -> None:
        self._means, self._id = means, id

    def keep(self, stage: str, array: Array) -> None:
        if stage != "context":
            return
        means, id = self._means, self._id
        means.totals[id] = means.totals.get(id, 0.0) + array.sum(-2, dtype=np.float64)
        means.counts[id] = means.counts.get(id, 0) + array.shape[-2]


def _all_but(heads: list[int], n_head: int) -> Array:
    opening = np.ones(n_head)
    opening[heads] = 0
    return opening


def _share(
    changed: Stack | None, original: Stack | None, touched: Collection[tuple[str, int]]
) -> Stack | None:
    """The changed stack with the original's blocks where none of the heads is."""
    if changed is None or original is None:
        return None
    return changed._replace(
        blocks=tuple(
            new if (changed.name, layer) in touched else old
            for layer, (new, old) in enumerate(zip(changed.blocks, original.blocks, strict=True))
        )
    )
