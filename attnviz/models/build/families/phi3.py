"""Phi-3 and Phi-3.5 mini: fused projections, factors for long texts. Source: Abdin et al. 2024."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.models.build.decoder import (
    causal,
    embedding_table,
    language_model,
    pre_norm_block,
    read_sizes,
    read_windows,
    token_embedding,
    with_heads,
)
from attnviz.models.build.families import Built, Config
from attnviz.models.build.layers import activation, linear, rms_norm, unembedding
from attnviz.models.build.rope import rope
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.transformer import Block


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("model.",), dtype)
    sizes = read_sizes(config)
    act = activation(config, "hidden_act", "silu")
    rotary, positions = rope(config, sizes.d_head, fraction=1.0)
    config.require("attention_bias", False)
    size = config.count("sliding_window") if config.has("sliding_window") else None
    window = read_windows(config, sizes.n_layer, size, lambda layer: True)
    table = embedding_table(tensors, sizes)
    unembed = unembedding(config, tensors, table, "lm_head", tied=False)
    config.finish()
    width, kv_width = sizes.n_head * sizes.d_head, sizes.n_kv_head * sizes.d_head
    d_model, d_ff = sizes.d_model, sizes.d_ff

    def fused(name: str, start: int, stop: int, total: int) -> Linear:
        return linear(tensors, name, d_model, total, bias=False, rows=slice(start, stop))

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        name, total = f"{at}.self_attn.qkv_proj", width + 2 * kv_width
        attention = with_heads(
            sizes,
            fused(name, 0, width, total),
            fused(name, width, width + kv_width, total),
            fused(name, width + kv_width, total, total),
            linear(tensors, f"{at}.self_attn.o_proj", width, d_model, bias=False),
            mask=causal(window(layer)),
            rotary=rotary,
        )
        name = f"{at}.mlp.gate_up_proj"
        net = FeedForward(
            gate=fused(name, 0, d_ff, 2 * d_ff),
            up=fused(name, d_ff, 2 * d_ff, 2 * d_ff),
            down=linear(tensors, f"{at}.mlp.down_proj", d_ff, d_model, bias=False),
            activation=act,
        )
        return pre_norm_block(tensors, at, sizes, attention, net)

    norm = rms_norm(tensors, "norm", d_model, sizes.eps)
    return language_model(tensors, sizes, block, token_embedding(table), norm, unembed, positions)
