"""ALBERT: layers that share their weights. Source: Lan et al. 2020, section 3.1."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.models.build.families import Built, Config
from attnviz.models.build.families.bert import embedding, token_table
from attnviz.models.build.layers import (
    LanguageModelHead,
    activation,
    attention,
    feed_forward,
    layer_norm,
    linear,
    masked_head,
)
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.transformer import Block, Stack, Sublayer, Transformer

HEAD = LanguageModelHead("predictions.dense", "predictions.LayerNorm", "predictions")
PROJECTIONS = ("query", "key", "value", "dense")

MOST_LAYERS = 1024
"""They share weights, so that the file would do for any number of them."""

IGNORED = (
    r"(albert\.)?(embeddings\.position_ids|pooler(_activation)?\..*)"
    r"|predictions\.decoder\.bias|(sop_classifier|classifier|qa_outputs)\..*"
)


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("albert.",), dtype)
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    n_layer = config.count("num_hidden_layers", most=MOST_LAYERS)
    d_ff = config.count("intermediate_size")
    n_group, n_inner = config.count("num_hidden_groups", 1), config.count("inner_group_num", 1)
    eps, d = config.above(0, "layer_norm_eps", 1e-12), config.count("embedding_size", 128)
    act = activation(config, "hidden_act", "gelu_new")
    config.inert("net_structure_type", "gap_size", "num_memory_blocks", "down_scale_factor")
    config.require("layers_to_keep", [])
    source = embedding(config, tensors, d)
    config.finish()
    source = source._replace(
        widen=linear(tensors, "encoder.embedding_hidden_mapping_in", d, d_model)
    )

    def inner(group: int, number: int) -> Block:
        at = f"encoder.albert_layer_groups.{group}.albert_layers.{number}"
        heads = attention(tensors, f"{at}.attention", PROJECTIONS, d_model, n_head)
        net = feed_forward(tensors, (f"{at}.ffn", f"{at}.ffn_output"), d_model, d_ff, act)
        return (
            Sublayer(heads, after=layer_norm(tensors, f"{at}.attention.LayerNorm", d_model, eps)),
            Sublayer(net, after=layer_norm(tensors, f"{at}.full_layer_layer_norm", d_model, eps)),
        )

    groups = [[inner(group, number) for number in range(n_inner)] for group in range(n_group)]
    blocks = tuple(
        block for layer in range(n_layer) for block in groups[layer * n_group // n_layer]
    )
    unembed = masked_head(tensors, token_table(source), HEAD, d_model, eps, act)
    tensors.finish(IGNORED)
    return Built(
        transformer=Transformer(encoder=Stack("encoder", blocks), source=source, unembed=unembed),
        shape={
            "n_layer": len(blocks),
            "n_head": n_head,
            "d_model": d_model,
            "positions": f"learned, {config.count('max_position_embeddings')}",
            "shared": f"{n_group * n_inner} layers' weights",
        },
        tensors=tensors,
        max_tokens=config.count("max_position_embeddings"),
        n_vocabulary=config.count("vocab_size"),
        task="" if unembed is None else "fill",
    )
