"""Encoders that fill in masked tokens: what BERT's families share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attnviz.language import to_say
from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.layers import layer_norm, linear
from attnviz.models.build.outputs import predicts_other
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.activations import Activation
from attnviz.nn.embedding import Embedding, Transform, Unembedding
from attnviz.nn.linear import Linear
from attnviz.nn.norms import Norm
from attnviz.nn.transformer import Block, Stack, Transformer
from attnviz.nn.weights import Weight


class LanguageModelHead(NamedTuple):
    """The names of the output's tensors in a file."""

    dense: str
    norm: str
    output: str
    activation: Activation | None = None
    """None for that of the model."""
    dense_bias: bool = True
    norm_bias: bool = True
    output_bias: bool = True


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
    positions: str = "",
    norm: Norm | None = None,
) -> Model:
    """An encoder behind an embedding, with an output where the file has one.

    Args:
        table: [n_vocabulary, d]: the vectors of the tokens.
        shared: what the screen says of blocks that share their weights.
        positions: what it says of positions, if they are not learned vectors alone.
        norm: what follows the last block.
    """
    config, notes = checkpoint.config, {}
    unembed = _unembedding(config, tensors, sizes, table, head)
    alone = [name for name in _biases(head) if tensors.outside.has(name)]
    if unembed is None and alone and not predicts_other(config):
        ignored += "".join(f"|{re.escape(name)}" for name in alone)
        notes = {
            "notes": (to_say("the file has only the bias of the output, so there are no logits"),)
        }
    encoder = Stack("encoder", tuple(blocks), norm)
    return trained_model(
        checkpoint,
        tensors,
        Transformer(encoder=encoder, source=source, unembed=unembed),
        {
            "n_layer": len(blocks),
            "n_head": sizes.n_head,
            "d_model": sizes.d_model,
            "positions": positions or f"learned, {sizes.n_position}",
            **({"shared": shared} if shared else {}),
        },
        ignored=ignored,
        max_tokens=sizes.n_position,
        n_vocabulary=sizes.n_vocabulary,
        task="" if unembed is None else "fill",
        **notes,
    )


def _unembedding(
    config: Config, tensors: Tensors, sizes: Sizes, table: Weight, head: LanguageModelHead
) -> Unembedding | None:
    """The output; None if the file has none, or the model's class another one."""
    n_vocabulary, d = table.shape
    tensors = tensors.outside
    has_head = any(tensors.has(f"{name}.weight") for name in (head.dense, head.norm))
    if predicts_other(config) or not has_head:
        return None
    weight = f"{head.output}.weight"
    if tensors.has(weight) or not config.switch("tie_word_embeddings", True):
        table = tensors.table(weight, n_vocabulary, d)
    transform = Transform(
        linear(tensors, head.dense, sizes.d_model, d, bias=head.dense_bias),
        head.activation or sizes.activation,
        layer_norm(tensors, head.norm, d, sizes.eps, bias=head.norm_bias),
    )
    if not head.output_bias:
        return Unembedding(Linear(table), before=transform)
    biases = _biases(head)
    bias = tensors.take(next(filter(tensors.has, biases), biases[-1]), n_vocabulary)
    return Unembedding(Linear(table, bias), before=transform)


def _biases(head: LanguageModelHead) -> tuple[str, str]:
    """The linear map's own bias, and the one of which it is a copy, or which stands for it in
    older files."""
    return f"{head.output}.bias", f"{head.output.removesuffix('.decoder')}.bias"
