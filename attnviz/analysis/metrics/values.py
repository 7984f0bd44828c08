"""What a head moves: weights times the length of what stands behind them."""

from __future__ import annotations

import math

import numpy as np

from attnviz.analysis.metrics.pattern import FIRST, Measure, Pattern
from attnviz.analysis.metrics.registry import METRICS, SHARE, Bins
from attnviz.language import to_say
from attnviz.nn.heads import repeat_heads
from attnviz.nn.transformer import Transformer, attentions
from attnviz.nn.types import Array
from attnviz.nn.weights import Weight


@METRICS.add(
    unit="residual stream",
    range=(0, math.inf),
    bins=lambda _: Bins(1e-4, 1e4, geometric=True),
    null_by_head=True,
)
def value_norm(pattern: Pattern) -> Measure:
    """Σ_j ‖w_ij f(x_j)‖ with f(x_j) = v_j W_O, what the head would write for key j at weight 1;
    mean over the queries that have a choice.

    From 0, in the units of the residual stream. Needs the values and W_O of the model.
    Source: Kobayashi et al. 2020
    """
    if pattern.norms is None:
        return pattern.undefined()
    return pattern.over_rows(pattern.row_norms)


@METRICS.add(range=SHARE, heading=to_say("first token moved"), priority=13, null_by_head=True)
def first_token_moved(pattern: Pattern) -> Measure:
    """The first token's share of Σ_j ‖w_ij f(x_j)‖; mean over all queries that see it.

    From 0 to 1, beside first_token: a sink whose value is short moves nothing.
    Needs the values and W_O of the model. Source: Kobayashi et al. 2020; Gu et al. 2024.
    """
    if pattern.norms is None:
        return pattern.undefined()
    rows, written = pattern.context.among(FIRST), pattern.row_norms
    assert rows is not None
    first = pattern.given(FIRST) * pattern.norms[..., :1]
    share = np.divide(first, written, out=np.zeros_like(written), where=written > 0)
    return pattern.over_rows(share, rows > 0)


def value_norms(v: Array, output: Array) -> Array:
    """‖v_j W_O‖ for each head: v [..., n_kv_head, n_k, d_v], W_O [d_model, n_head·d_v] ->
    [..., n_head, n_k]. The output's bias is nobody's."""
    d_v = v.shape[-1]
    heads = np.asarray(output, np.float64).reshape(len(output), -1, d_v).swapaxes(0, 1)
    gram = heads.mT @ heads
    values = repeat_heads(np.asarray(v, np.float64), len(heads))
    squares: Array = ((values @ gram) * values).sum(-1)
    return np.sqrt(np.maximum(squares, 0))


def output_weights(transformer: Transformer) -> dict[str, Weight]:
    """W_O [d_model, n_head·d_v] of every attention, by the id of its record."""
    return {
        f"{stack.name}.{layer}.{attention.kind}": attention.output.weight
        for stack in (transformer.encoder, transformer.decoder)
        if stack is not None
        for layer, block in enumerate(stack.blocks)
        for attention in attentions(block)
    }
