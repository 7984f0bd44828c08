"""A model without some of its heads: the same weights, other contexts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.nn.embedding import Input
from attnviz.nn.gate import Gate
from attnviz.nn.multi_head import Bias, MultiHeadAttention, RecordNothing
from attnviz.nn.scores import Score
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import DiscardStages, StageKeeper
from attnviz.nn.transformer import Stack, Transformer
from attnviz.nn.types import Array
from attnviz.trace.selection import Head


class Ablation(Protocol):
    """A change of the attention with an id that takes some of its heads out."""

    def __call__(
        self, id: RecordId, attention: MultiHeadAttention, heads: list[int], /
    ) -> MultiHeadAttention: ...


def ablate(transformer: Transformer, heads: Collection[Head], how: Ablation) -> Transformer:
    """The same transformer without these heads. Blocks that lose none are the same objects, from
    which `Evaluator` knows what it need not compute again."""
    sites = iter(transformer.sites())

    def change(stack: str, attention: MultiHeadAttention) -> MultiHeadAttention:
        id = next(sites).id
        numbers = sorted(head.number for head in heads if head.id == id)
        return how(id, attention, numbers) if numbers else attention

    changed = transformer.change_attention(change)
    changed_blocks = {head.id.place for head in heads}
    return changed._replace(
        encoder=_shared_blocks(changed.encoder, transformer.encoder, changed_blocks),
        decoder=_shared_blocks(changed.decoder, transformer.decoder, changed_blocks),
    )


def zero(id: RecordId, attention: MultiHeadAttention, heads: list[int]) -> MultiHeadAttention:
    """The heads' contexts are 0. Source: Michel et al. 2019, section 2.3."""
    return attention._replace(gate=Gate(_open_except(heads, attention.n_head)))


class Scaled(NamedTuple):
    """Each head's context is multiplied by a factor."""

    factors: Mapping[Head, float]

    def __call__(
        self, id: RecordId, attention: MultiHeadAttention, heads: list[int]
    ) -> MultiHeadAttention:
        opening = np.ones(attention.n_head)
        opening[heads] = [self.factors[Head(id, head)] for head in heads]
        return attention._replace(gate=Gate(opening))


class Mean(NamedTuple):
    """The heads' contexts are their mean, for every query."""

    contexts: Mapping[str, Array]
    """By the attention's id: [n_head, d_v], from `mean_contexts`."""

    def __call__(
        self, id: RecordId, attention: MultiHeadAttention, heads: list[int]
    ) -> MultiHeadAttention:
        opening = _open_except(heads, attention.n_head)
        return attention._replace(gate=Gate(opening, self.contexts[id]))


def uniform(id: RecordId, attention: MultiHeadAttention, heads: list[int]) -> MultiHeadAttention:
    """The heads spread their weights evenly over the keys that each query sees: their scores and
    biases have no effect, and no sink takes anything from them."""
    sinks = attention.sinks
    if sinks is not None:
        sinks = np.array(sinks, np.result_type(sinks, np.float32))
        sinks[heads] = -np.inf
    bias = None if attention.bias is None else _ZeroedBias(attention.bias, heads, attention.n_head)
    relative = attention.relative
    return attention._replace(
        score=partial(_zeroed_scores, heads, attention.score),
        bias=bias,
        relative=None if relative is None else relative._replace(silent=tuple(heads)),
        sinks=sinks,
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


def _zeroed_scores(
    heads: list[int], score: Score, q: Array, k: Array, *, scale: float | None = None
) -> Array:
    """Scores [n_head, n_q, n_k] that are 0 for some heads."""
    scores = score(q, k) if scale is None else score(q, k, scale=scale)
    scores[..., heads, :, :] = 0
    return scores


class _ZeroedBias(NamedTuple):
    """A bias that is 0 for some heads, except where it masks."""

    bias: Bias
    heads: list[int]
    n_head: int

    def __call__(self, q_pos: Array, k_pos: Array) -> Array:
        bias = self.bias(q_pos, k_pos)
        bias = np.array(np.broadcast_to(bias, (*bias.shape[:-3], self.n_head, *bias.shape[-2:])))
        chosen = bias[..., self.heads, :, :]
        bias[..., self.heads, :, :] = np.where(np.isneginf(chosen), chosen, 0)
        return bias


class _Means(RecordNothing):
    """A recorder that sums contexts and keeps none."""

    def __init__(self) -> None:
        self.totals: dict[str, Array] = {}
        self.counts: dict[str, int] = {}

    def open(self, site: Site) -> StageKeeper:
        return _ContextSum(self, site.id)


class _ContextSum(DiscardStages):
    def __init__(self, means: _Means, id: str) -> None:
        self._means, self._id = means, id

    def keep(self, stage: str, array: Array) -> None:
        if stage != "context":
            return
        means, id = self._means, self._id
        means.totals[id] = means.totals.get(id, 0.0) + array.sum(-2, dtype=np.float64)
        means.counts[id] = means.counts.get(id, 0) + array.shape[-2]


def _open_except(heads: list[int], n_head: int) -> Array:
    opening = np.ones(n_head)
    opening[heads] = 0
    return opening


def _shared_blocks(
    changed: Stack | None, original: Stack | None, changed_blocks: Collection[tuple[str, int]]
) -> Stack | None:
    """The changed stack with the original's blocks where no head was changed."""
    if changed is None or original is None:
        return None
    return changed._replace(
        blocks=tuple(
            new if (changed.name, layer) in changed_blocks else old
            for layer, (new, old) in enumerate(zip(changed.blocks, original.blocks, strict=True))
        )
    )
