"""Qwen2 and Qwen2.5: biases of queries, keys and values; upper layers may slide.
Source: Yang et al. 2024, section 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attnviz.models.build.decoder import (
    Sizes,
    causal,
    embedding_table,
    gated,
    grouped_attention,
    language_model,
    pre_norm_block,
    read_sizes,
    read_windows,
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
            bias=True,
            output_bias=False,
            mask=causal(window(layer)),
            rotary=rotary,
        )
        net = gated(tensors, f"{at}.mlp", sizes, act)
        return pre_norm_block(tensors, at, sizes, attention, net)

    norm = rms_norm(tensors, "norm", sizes.d_model, sizes.eps)
    return language_model(tensors, sizes, block, token_embedding(table), norm, unembed, positions)


def upper_windows(config: Config, sizes: Sizes) -> Callable[[int], int | None]:
    """The window of each layer: those from `max_window_layers` on slide, if any do."""
    first = config.whole("max_window_layers", 28)
    size = config.count("sliding_window") if config.has("sliding_window") else None
    if not config.switch("use_sliding_window"):
        size = None
    return read_windows(config, sizes.n_layer, size, lambda layer: layer >= first)
