"""Qwen3: queries and keys are normalised head by head. Source: Yang et al. 2025, section 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.models.build.decoder import (
    causal,
    embedding_table,
    gated,
    grouped_attention,
    language_model,
    pre_norm_block,
    read_sizes,
    token_embedding,
)
from attnviz.models.build.families import Built, Config
from attnviz.models.build.families.qwen2 import upper_windows
from attnviz.models.build.layers import activation, rms_norm, unembedding
from attnviz.models.build.rope import rope
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.transformer import Block


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("model.",), dtype)
    sizes = read_sizes(config)
    act = activation(config, "hidden_act", "silu")
    rotary, positions = rope(config, sizes.d_head)
    bias = config.switch("attention_bias")
    window = upper_windows(config, sizes)
    table = embedding_table(tensors, sizes)
    unembed = unembedding(config, tensors, table, "lm_head", tied=False)
    config.finish()

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        attention = grouped_attention(
            tensors,
            f"{at}.self_attn",
            sizes,
            bias=bias,
            mask=causal(window(layer)),
            rotary=rotary,
            query_norm=rms_norm(tensors, f"{at}.self_attn.q_norm", sizes.d_head, sizes.eps),
            key_norm=rms_norm(tensors, f"{at}.self_attn.k_norm", sizes.d_head, sizes.eps),
        )
        net = gated(tensors, f"{at}.mlp", sizes, act)
        return pre_norm_block(tensors, at, sizes, attention, net)

    norm = rms_norm(tensors, "norm", sizes.d_model, sizes.eps)
    return language_model(tensors, sizes, block, token_embedding(table), norm, unembed, positions)
