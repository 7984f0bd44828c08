"""BERT. Source: Devlin et al. 2019; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from attnviz.models.families import Built, Config
from attnviz.models.tensors import TensorFile, Tensors
from attnviz.nn.activations import gelu, gelu_tanh, relu, silu
from attnviz.nn.embedding import Embedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import LayerNorm
from attnviz.nn.schemes import look_up
from attnviz.nn.transformer import Block, Stack, Sublayer, Transformer

ACTIVATIONS = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": relu,
    "silu": silu,
    "swish": silu,
}

OLD_NORM = {".weight": ".gamma", ".bias": ".beta"}

IGNORED = r"(bert\.)?(embeddings\.position_ids|pooler\..*)|(cls|classifier|qa_outputs|dropout)\..*"
"""Tensors that no attention and no hidden state depends on."""


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("bert.",), dtype)
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    n_layer, d_ff = config.count("num_hidden_layers"), config.count("intermediate_size")
    n_position = config.count("max_position_embeddings")
    n_vocabulary, n_segment = config.count("vocab_size"), config.count("type_vocab_size")
    eps = config.get("layer_norm_eps", 1e-12)
    config.require("hidden_act", *ACTIVATIONS)
    activation = ACTIVATIONS[config.get("hidden_act", "gelu")]
    config.require("position_embedding_type", "absolute")
    config.require("is_decoder", False)
    config.require("add_cross_attention", False)
    config.require("is_encoder_decoder", False)
    config.finish()

    def norm(name: str) -> LayerNorm:
        gain = tensors.take(f"{name}.weight", d_model, spellings=OLD_NORM)
        return LayerNorm(gain, tensors.take(f"{name}.bias", d_model, spellings=OLD_NORM), eps)

    def linear(name: str, d_in: int, d_out: int) -> Linear:
        return Linear(
            tensors.take(f"{name}.weight", d_out, d_in), tensors.take(f"{name}.bias", d_out)
        )

    def block(layer: int) -> Block:
        at = f"encoder.layer.{layer}"
        attention = MultiHeadAttention(
            query=linear(f"{at}.attention.self.query", d_model, d_model),
            key=linear(f"{at}.attention.self.key", d_model, d_model),
            value=linear(f"{at}.attention.self.value", d_model, d_model),
            output=linear(f"{at}.attention.output.dense", d_model, d_model),
            n_head=n_head,
            n_kv_head=n_head,
            scale=(d_model // n_head) ** -0.5,
        )
        feed_forward = FeedForward(
            up=linear(f"{at}.intermediate.dense", d_model, d_ff),
            down=linear(f"{at}.output.dense", d_ff, d_model),
            activation=activation,
        )
        return (
            Sublayer(attention, after=norm(f"{at}.attention.output.LayerNorm")),
            Sublayer(feed_forward, after=norm(f"{at}.output.LayerNorm")),
        )

    words = tensors.take("embeddings.word_embeddings.weight", n_vocabulary, d_model)
    positions = tensors.take("embeddings.position_embeddings.weight", n_position, d_model)
    segments = tensors.take("embeddings.token_type_embeddings.weight", n_segment, d_model)
    embedding = Embedding(
        tokens=partial(np.take, words, axis=0),
        positions=partial(look_up, positions),
        segments=segments,
        norm=norm("embeddings.LayerNorm"),
    )
    encoder = Stack("encoder", tuple(block(layer) for layer in range(n_layer)))
    tensors.finish(IGNORED)
    return Built(
        transformer=Transformer(encoder=encoder, source=embedding),
        shape={"n_layer": n_layer, "n_head": n_head, "d_model": d_model},
        n_parameter=tensors.n_parameter,
        max_tokens=n_position,
        n_vocabulary=n_vocabulary,
    )
