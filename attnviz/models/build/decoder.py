"""Decoders that continue a text: what all their families share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from attnviz.models.build.answers import BERT_LIKE, HeadOptions
from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.layers import linear
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn import masks
from attnviz.nn.embedding import Embed, Unembedding
from attnviz.nn.linear import Linear, Projection
from attnviz.nn.masks import Mask
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import Norm
from attnviz.nn.transformer import Block, Stack, Transformer


class Sizes(NamedTuple):
    """What the config of every decoder says."""

    n_layer: int
    n_head: int
    n_kv_head: int
    d_head: int
    d_model: int
    d_ff: int
    n_vocabulary: int
    n_position: int
    eps: float
    is_causal: bool = True
    """A text embedder made of a decoder may see both sides: `is_causal: false`."""

    def mask(self, window: int | None = None) -> Mask:
        """A query sees itself and what came before, at most `window` keys; or both sides, the keys
        at most `window` positions away."""
        if self.is_causal:
            return masks.CAUSAL if window is None else masks.parse(f"causal+window:size={window}")
        return masks.NONE if window is None else masks.parse(f"window:size={window + 1}")


def with_heads(
    sizes: Sizes,
    query: Projection,
    key: Projection,
    value: Projection,
    output: Linear,
    **fields: Any,
) -> MultiHeadAttention:
    heads = {"n_head": sizes.n_head, "n_kv_head": sizes.n_kv_head, "scale": sizes.d_head**-0.5}
    return MultiHeadAttention(query, key, value, output, **(heads | fields))


def side_by_side(
    tensors: Tensors, name: str, sizes: Sizes, *, bias: bool = True
) -> tuple[Linear, Linear, Linear]:
    """Those of query, key and value out of one map NAME, in which each key/value head stands behind
    the query heads that share it: [n_kv_head, n_head/n_kv_head + 2, d_head, d_model]."""
    n_kv, group = sizes.n_kv_head, sizes.n_head // sizes.n_kv_head
    n_row = n_kv * (group + 2) * sizes.d_head
    rows = np.arange(n_row).reshape(n_kv, group + 2, sizes.d_head)
    query, key, value = (
        linear(tensors, name, sizes.d_model, n_row, bias=bias, rows=part.ravel())
        for part in (rows[:, :-2], rows[:, -2], rows[:, -1])
    )
    return query, key, value


def language_model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    sizes: Sizes,
    block: Callable[[int], Block],
    embedding: Embed,
    norm: Norm | None,
    unembed: Unembedding | None,
    *,
    positions: str,
    ignored: str,
    answering: HeadOptions = BERT_LIKE,
) -> Model:
    """A decoder of `block(0)`, `block(1)`, … between an embedding and an output; an encoder, if
    it sees both sides.

    `positions` says on the screen how the model knows positions; `answering` what the heads of
    the family do differently.
    """
    name = "decoder" if sizes.is_causal else "encoder"
    stack = Stack(name, tuple(block(layer) for layer in range(sizes.n_layer)), norm)
    stacks: dict[str, Any] = {name: stack}
    shared = {"n_kv_head": sizes.n_kv_head} if sizes.n_kv_head != sizes.n_head else {}
    return trained_model(
        checkpoint,
        tensors,
        Transformer(**stacks, source=embedding, unembed=unembed),
        {
            "n_layer": sizes.n_layer,
            "n_head": sizes.n_head,
            **shared,
            "d_model": sizes.d_model,
            "positions": positions,
        },
        ignored=ignored,
        answering=answering,
        max_tokens=sizes.n_position,
        n_vocabulary=sizes.n_vocabulary,
        task="continue" if unembed is not None and sizes.is_causal else "",
    )
