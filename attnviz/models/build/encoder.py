"""Encoders that fill in masked tokens: what BERT's families share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.layers import layer_norm, linear
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.activations import Activation
from attnviz.nn.embedding import Embedding, Transform, Unembedding
from attnviz.nn.linear import Linear
from attnviz.nn.transformer import Block, Stack, Transformer
from attnviz.nn.weights import Weight


class LanguageModelHead(NamedTuple):
    """The names of the output's tensors in a file."""

    dense: str
    norm: str
    output: str
    activation: Activation | None = None
    """None for that of the model."""


class Sizes(NamedTuple):
    """What the config of every encoder says."""

    n_layer: int
    n_head: int
    d_model: int
    d_ff: int
    n_vocabulary: int
    n_position: int
    eps: float
    activation: Activation


def masked_language_model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    sizes: Sizes,
    blocks: Sequence[Block],
    source: Embedding,
    table: Weight,
    head: LanguageModelHead,
    *,
    ignored: str,
    shared: str = "",
) -> Model:
    """An encoder behind an embedding, with an output where the file has one.

    Args:
        table: [n_vocabulary, d]: the vectors of the tokens.
        shared: what the screen says of blocks that share their weights.
    """
    unembed = _unembedding(tensors, sizes, table, head)
    notes: tuple[str, ...] = ()
    if unembed is None and tensors.outside.has(f"{head.output}.bias"):
        ignored += rf"|{re.escape(head.output)}\.(decoder\.)?(weight|bias)"
        notes = ("of its output the file has only the bias: there are no logits",)
    encoder = Stack("encoder", tuple(blocks))
    return trained_model(
        checkpoint,
        tensors,
        Transformer(encoder=encoder, source=source, unembed=unembed),
        {
            "n_layer": len(blocks),
            "n_head": sizes.n_head,
            "d_model": sizes.d_model,
            "positions": f"learned, {sizes.n_position}",
            **({"shared": shared} if shared else {}),
        },
        ignored=ignored,
        max_tokens=sizes.n_position,
        n_vocabulary=sizes.n_vocabulary,
        task="" if unembed is None else "fill",
        notes=notes,
    )


def _unembedding(
    tensors: Tensors, sizes: Sizes, table: Weight, head: LanguageModelHead
) -> Unembedding | None:
    """The output; None if the file has none."""
    n_vocabulary, d = table.shape
    tensors = tensors.outside
    if not any(tensors.has(f"{name}.weight") for name in (head.dense, head.norm)):
        return None
    spellings = (f"{head.output}.decoder.weight", f"{head.output}.weight")
    untied = next(filter(tensors.has, spellings), None)
    weight = table if untied is None else tensors.weight(untied, n_vocabulary, d)
    transform = Transform(
        linear(tensors, head.dense, sizes.d_model, d),
        head.activation or sizes.activation,
        layer_norm(tensors, head.norm, d, sizes.eps),
    )
    bias = tensors.take(f"{head.output}.bias", n_vocabulary)
    return Unembedding(Linear(weight, bias), before=transform)
