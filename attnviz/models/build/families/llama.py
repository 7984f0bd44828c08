"""Llama 1 to 3, and Mistral's ancestors in GGUF. Source: Touvron et al. 2023; Grattafiori et al.
2024, section 3.2; tensor names as in Hugging Face's checkpoints."""

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
from attnviz.models.build.layers import activation, rms_norm, unembedding
from attnviz.models.build.rope import rope
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.transformer import Block


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("model.",), dtype)
    sizes = read_sizes(config)
    act = activation(config, "hidden_act", "silu")
    rotary, positions = rope(config, sizes.d_head)
    bias, mlp_bias = config.switch("attention_bias"), config.switch("mlp_bias")
    table = embedding_table(tensors, sizes)
    unembed = unembedding(config, tensors, table, "lm_head", tied=False)
    config.finish()

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        attention = grouped_attention(
            tensors, f"{at}.self_attn", sizes, bias=bias, mask=causal(), rotary=rotary
        )
        net = gated(tensors, f"{at}.mlp", sizes, act, bias=mlp_bias)
        return pre_norm_block(tensors, at, sizes, attention, net)

    norm = rms_norm(tensors, "norm", sizes.d_model, sizes.eps)
    return language_model(tensors, sizes, block, token_embedding(table), norm, unembed, positions)
