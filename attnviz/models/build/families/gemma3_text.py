"""Gemma 3, its text: one layer in six sees everything, with a rotation of its own; queries and
keys are normalised. Source: Gemma Team 2025, section 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.models.build.decoder import (
    causal,
    embedding_table,
    gated,
    grouped_attention,
    language_model,
    read_sizes,
    read_windows,
    token_embedding,
)
from attnviz.models.build.families import Built, Config
from attnviz.models.build.families.gemma2 import gain_from_one, sandwich
from attnviz.models.build.layers import activation, unembedding
from attnviz.models.build.rope import from_parameters, rope
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.multi_head import Rotary
from attnviz.nn.transformer import Block


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("model.",), dtype)
    sizes = read_sizes(config)
    act = activation(config, "hidden_activation", "gelu_pytorch_tanh")
    config.require("use_bidirectional_attention", False)
    bias = config.switch("attention_bias")
    scale = config.above(0, "query_pre_attn_scalar", 256) ** -0.5
    config.refuse("attn_logit_softcapping")
    old = config.count("sliding_window_pattern", 6)
    every = config.count("_sliding_window_pattern", old)
    size = config.count("sliding_window", 4096)
    window = read_windows(config, sizes.n_layer, size, lambda layer: (layer + 1) % every > 0)
    (near, near_name), (far, far_name) = _turns(config, sizes.d_head)
    table = embedding_table(tensors, sizes)
    unembed = unembedding(
        config,
        tensors,
        table,
        "lm_head",
        tied=True,
        softcap=config.above_zero_or_null("final_logit_softcapping", None),
    )
    config.finish()

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        attention = grouped_attention(
            tensors,
            f"{at}.self_attn",
            sizes,
            bias=bias,
            scale=scale,
            mask=causal(window(layer)),
            rotary=far if window(layer) is None else near,
            query_norm=gain_from_one(tensors, f"{at}.self_attn.q_norm", sizes.d_head, sizes.eps),
            key_norm=gain_from_one(tensors, f"{at}.self_attn.k_norm", sizes.d_head, sizes.eps),
        )
        return sandwich(tensors, at, sizes, attention, gated(tensors, f"{at}.mlp", sizes, act))

    return language_model(
        tensors,
        sizes,
        block,
        token_embedding(table, sizes.d_model**0.5),
        gain_from_one(tensors, "norm", sizes.d_model, sizes.eps),
        unembed,
        f"{near_name} where the window slides, {far_name} elsewhere",
    )


def _turns(config: Config, d_head: int) -> tuple[tuple[Rotary, str], tuple[Rotary, str]]:
    """The rotations of sliding and of full layers, with their names."""
    nested = config.section("rope_parameters") if config.has("rope_parameters") else None
    if nested is not None and nested.has("full_attention"):
        near, far = (
            from_parameters(config, nested.section(kind), d_head)
            for kind in ("sliding_attention", "full_attention")
        )
        nested.finish()
        return near, far
    local = config.part({"rope_theta": config.above(0, "rope_local_base_freq", 10000.0)})
    return from_parameters(config, local, d_head), rope(config, d_head, base=1e6)
