"""What each token's vector brings into each output of an attention: more than its weight says.

A weight is multiplied with a value, goes through the output projection, meets the residual and
often a norm. All of that but the norm's own statistics is linear, so that the output of a sublayer
is a sum of one vector for each token it reads, y_i = Σ_j T_ij (biases belong to no token and are
left out), and the share of token j is taken from how much the sum would lose without T_ij:

    c_ij = max(0, ‖y_i‖₁ - ‖y_i - T_ij‖₁) / Σ_k max(0, ‖y_i‖₁ - ‖y_i - T_ik‖₁)

Source: Ferrando et al. 2022, "Measuring the Mixing of Contextual Information in the Transformer",
(ALTI); the vectors with residual and norm: Kobayashi et al. 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.analysis.flow import Mix, normalised
from attnviz.errors import AttnvizError
from attnviz.nn.heads import merge_heads, repeat_heads
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import BatchNorm, LayerNorm, Norm, RMSNorm, Scale
from attnviz.nn.transformer import Block, Stack, Sublayer, Transformer, attentions
from attnviz.nn.types import Array
from attnviz.trace.record import Record, Trace

STAGES = ("weights", "v", "context")
"""What a trace has to hold, besides its hidden states."""


class _Place(NamedTuple):
    """An attention in its sublayer, and what that sublayer reads."""

    attention: MultiHeadAttention
    sublayer: Sublayer
    x: Array
    """[n_q, d_model]"""


def contribution_mixes(transformer: Transformer, trace: Trace) -> dict[str, Mix]:
    """By record: the shares of what it reads. The trace is one of this transformer, with
    `STAGES` and hidden states."""
    mixes: dict[str, Mix] = {}
    for stack in (transformer.encoder, transformer.decoder):
        if stack is not None:
            for record, place in _places(stack, trace):
                mixes[record.id] = contribution_mix(record, *place)
    return mixes


def contribution_mix(
    record: Record, attention: MultiHeadAttention, sublayer: Sublayer, x: Array
) -> Mix:
    """The shares of one attention, whose sublayer reads x [n_q, d_model].

    Of self-attention, a token's residual is part of its own vector; of cross-attention it has a
    share for itself.
    """
    weights = np.asarray(record.stage("weights"), np.float64)
    values = projected_values(record, attention)
    bias = 0.0 if attention.output.bias is None else np.asarray(attention.output.bias, np.float64)
    residual = sublayer.residual(np.asarray(x, np.float64))
    _, n_q, n_k = weights.shape
    keys, own = np.empty((n_q, n_k)), np.zeros(n_q)
    for i in range(n_q):
        parts = np.einsum("hj,hjd->jd", weights[:, i], values)
        parts = _linear_part(sublayer.within, parts, parts.sum(0) + bias)
        if record.kind == "self":
            parts[i] += residual[i]
        else:
            parts = np.concatenate([parts, residual[i][None]])
        # behind the residual, the statistics of a norm divide all parts alike: any will do
        shares = _shares(_linear_part(sublayer.after, parts, parts.sum(0)))
        keys[i], own[i] = shares[:n_k], shares[n_k:].sum()
    return normalised(keys, own)


def projected_values(record: Record, attention: MultiHeadAttention) -> Array:
    """[n_head, n_k, d_model]: what each key's value becomes behind the output projection.

    Source: Kobayashi et al. 2020: f(x), of which a weight takes its part.
    """
    v = repeat_heads(np.asarray(record.stage("v"), np.float64), record.n_head)
    weight = np.asarray(attention.output.weight, np.float64)
    by_head = weight.reshape(len(weight), record.n_head, -1)
    return np.asarray(np.einsum("hjv,dhv->hjd", v, by_head))


def _shares(parts: Array) -> Array:
    """[n, d_model] -> [n]: by how much each part brings the sum nearer."""
    total = parts.sum(0)
    away = np.abs(total - parts).sum(-1)
    return np.asarray(np.maximum(np.abs(total).sum() - away, 0))


def _linear_part(norm: Norm | None, parts: Array, total: Array) -> Array:
    """What a norm makes of each part [n, d_model] of what it is given, its statistics being those
    of the whole [d_model]."""
    if norm is None:
        return parts
    gain = getattr(norm, "gain", None)
    gain = 1.0 if gain is None else np.asarray(gain, np.float64)
    if isinstance(norm, LayerNorm):
        centred = parts - parts.mean(-1, keepdims=True)
        return np.asarray(gain * centred / np.sqrt(total.var() + norm.eps))
    if isinstance(norm, RMSNorm):
        return np.asarray(gain * parts / np.sqrt((total**2).mean() + norm.eps))
    if isinstance(norm, Scale):
        return np.asarray(gain * parts)
    if isinstance(norm, BatchNorm) and norm.variance is not None:
        return np.asarray(gain * parts / np.sqrt(norm.variance + norm.eps))
    raise AttnvizError(
        f"contributions do not know what a {type(norm).__name__} makes of the parts of a sum",
        "--method rollout",
    )


def _places(stack: Stack, trace: Trace) -> Iterator[tuple[Record, _Place]]:
    """The records of a stack, each with its place."""
    for layer, block in enumerate(stack.blocks):
        records = {r.kind: r for r in trace if r.id.place == (stack.name, layer)}
        x = np.asarray(trace.hidden_states[stack.name][layer], np.float64)
        yield from _block_places(f"{stack.name}.{layer}", block, x, records)


def _block_places(
    name: str, block: Block, x: Array, records: Mapping[str, Record]
) -> Iterator[tuple[Record, _Place]]:
    last = max((i for i, sublayer in enumerate(block) if any(attentions((sublayer,)))), default=-1)
    for sublayer in block[: last + 1]:
        for attention in attentions((sublayer,)):
            yield records[attention.kind], _Place(attention, sublayer, x)
        if sublayer is not block[last]:  # the next attention reads what this sublayer makes of x
            x = _behind(name, sublayer, x, records)


def _behind(name: str, sublayer: Sublayer, x: Array, records: Mapping[str, Record]) -> Array:
    """What an attention's sublayer puts out, from the context that was recorded."""
    attention = sublayer.f
    if not isinstance(attention, MultiHeadAttention):
        raise AttnvizError(
            f"{name}: contributions do not know how to pass what stands before its cross-attention",
            "--method rollout",
        )
    context = np.asarray(records[attention.kind].stage("context"), np.float64)
    y = attention.output(merge_heads(context))
    y = (y if sublayer.within is None else sublayer.within(y)) + sublayer.residual(x)
    return y if sublayer.after is None else sublayer.after(y)
