"""DistilBERT. Source: Sanh et al. 2019; tensor names as in Hugging Face's checkpoints."""

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
from attnviz.nn.weights import rows

EPS = 1e-12
HEAD = LanguageModelHead("vocab_transform", "vocab_layer_norm", "vocab_projector")
PROJECTIONS = ("q_lin", "k_lin", "v_lin", "out_lin")

IGNORED = (
    r"(distilbert\.)?embeddings\.position_ids"
    r"|(pre_classifier|classifier|qa_outputs)\..*"
)


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("distilbert.",), dtype)
    d_model, n_head = config.count("dim"), config.count("n_heads")
    n_layer, d_ff = config.count("n_layers"), config.count("hidden_dim")
    n_position, n_vocabulary = config.count("max_position_embeddings"), config.count("vocab_size")
    act = activation(config, "activation", "gelu")
    config.switch("sinusoidal_pos_embds")  # the file holds the table in either case
    config.inert("tie_weights_")
    config.finish()

    def block(layer: int) -> Block:
        at = f"transformer.layer.{layer}"
        heads = attention(tensors, f"{at}.attention", PROJECTIONS, d_model, n_head)
        net = feed_forward(tensors, (f"{at}.ffn.lin1", f"{at}.ffn.lin2"), d_model, d_ff, act)
        return (
            Sublayer(heads, after=layer_norm(tensors, f"{at}.sa_layer_norm", d_model, EPS)),
            Sublayer(net, after=layer_norm(tensors, f"{at}.output_layer_norm", d_model, EPS)),
        )

    words = tensors.weight("embeddings.word_embeddings.weight", n_vocabulary, d_model)
    positions = tensors.take("embeddings.position_embeddings.weight", n_position, d_model)
    embedding = Embedding(
        tokens=partial(rows, words),
        positions=partial(look_up, positions),
        norm=layer_norm(tensors, "embeddings.LayerNorm", d_model, EPS),
    )
    stack = Stack("encoder", tuple(block(layer) for layer in range(n_layer)))
    unembed = masked_head(tensors, words, HEAD, d_model, EPS, act)
    tensors.finish(IGNORED)
    return Built(
        transformer=Transformer(encoder=stack, source=embedding, unembed=unembed),
        shape={
            "n_layer": n_layer,
            "n_head": n_head,
            "d_model": d_model,
            "positions": f"learned, {n_position}",
        },
        tensors=tensors,
        max_tokens=n_position,
        n_vocabulary=n_vocabulary,
        task="" if unembed is None else "fill",
    )
