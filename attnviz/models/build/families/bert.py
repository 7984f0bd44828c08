"""BERT. Source: Devlin et al. 2019; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from attnviz.models.build.families import Built, Config
from attnviz.models.build.layers import LanguageModelHead, activation, attention, feed_forward, layer_norm, masked_head
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.embedding import Embedding
from attnviz.nn.schemes import look_up
from attnviz.nn.transformer import Block, Stack, Sublayer, Transformer
from attnviz.nn.weights import Weight, rows

HEAD = LanguageModelHead(
    "cls.predictions.transform.dense",
    "cls.predictions.transform.LayerNorm",
    "cls.predictions",
)
PROJECTIONS = ("self.query", "self.key", "self.value", "output.dense")

IGNORED = (
    r"(\w+\.)?(embeddings\.position_ids|pooler\..*)|cls\.(seq_relationship\..*|predictions\.decoder\.bias)"
    r"|(classifier|qa_outputs|dropout)\..*"
)
"""Tensors that no attention and no hidden state depends on."""


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("bert.",), dtype)
    d_model = config.count("hidden_size")
    return encoder(config, tensors, embedding(config, tensors, d_model), HEAD, IGNORED)


def embedding(config: Config, tensors: Tensors, d: int) -> Embedding:
    """Tokens, positions and segments, [n_token, d], with a norm over their sum."""
    at, eps = "embeddings", config.above(0, "layer_norm_eps", 1e-12)
    config.require("position_embedding_type", "absolute")
    words = tensors.weight(f"{at}.word_embeddings.weight", config.count("vocab_size"), d)
    n_position, n_segment = config.count("max_position_embeddings"), config.whole("type_vocab_size")
    positions = tensors.take(f"{at}.position_embeddings.weight", n_position, d)
    return Embedding(
        tokens=partial(rows, words),
        positions=partial(look_up, positions),
        segments=tensors.take(f"{at}.token_type_embeddings.weight", n_segment, d),
        norm=layer_norm(tensors, f"{at}.LayerNorm", d, eps),
    )


def encoder(
    config: Config,
    tensors: Tensors,
    source: Embedding,
    head: LanguageModelHead,
    ignored: str,
    offset: int = 0,
) -> Built:
    """The blocks of BERT and of its descendants behind an embedding, and their output.

    `offset` positions at the table's beginning stand for no token.
    """
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    n_layer, d_ff = config.count("num_hidden_layers"), config.count("intermediate_size")
    eps, act = config.above(0, "layer_norm_eps", 1e-12), activation(config, "hidden_act", "gelu")
    n_position, n_vocabulary = config.count("max_position_embeddings"), config.count("vocab_size")
    config.finish()

    def block(layer: int) -> Block:
        at = f"encoder.layer.{layer}"
        heads = attention(tensors, f"{at}.attention", PROJECTIONS, d_model, n_head)
        names = (f"{at}.intermediate.dense", f"{at}.output.dense")
        net = feed_forward(tensors, names, d_model, d_ff, act)
        return (
            Sublayer(
                heads, after=layer_norm(tensors, f"{at}.attention.output.LayerNorm", d_model, eps)
            ),
            Sublayer(net, after=layer_norm(tensors, f"{at}.output.LayerNorm", d_model, eps)),
        )

    stack = Stack("encoder", tuple(block(layer) for layer in range(n_layer)))
    unembed = masked_head(tensors, token_table(source), head, d_model, eps, act)
    tensors.finish(ignored)
    return Built(
        transformer=Transformer(encoder=stack, source=source, unembed=unembed),
        shape={
            "n_layer": n_layer,
            "n_head": n_head,
            "d_model": d_model,
            "positions": f"learned, {n_position - offset}",
        },
        tensors=tensors,
        max_tokens=n_position - offset,
        n_vocabulary=n_vocabulary,
        task="" if unembed is None else "fill",
    )


def token_table(embedding: Embedding) -> Weight:
    """[n_vocabulary, d]: what the tokens of an embedding are looked up in."""
    assert isinstance(embedding.tokens, partial)
    table: Weight = embedding.tokens.args[0]
    return table
