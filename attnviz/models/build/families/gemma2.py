"""Gemma 2: norms before and behind, capped scores, every second layer slides.
Source: Gemma Team 2024, section 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.models.build.decoder import (
    Sizes,
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
from attnviz.models.build.layers import activation, rms_norm, unembedding
from attnviz.models.build.rope import rope
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import RMSNorm
from attnviz.nn.transformer import Block, Sublayer


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("model.",), dtype)
    sizes = read_sizes(config)
    act = activation(config, "hidden_activation", "gelu_pytorch_tanh")
    config.inert("hidden_act")  # of old files; it was never used
    rotary, positions = rope(config, sizes.d_head)
    config.require("use_bidirectional_attention", False)
    bias = config.switch("attention_bias")
    scale = config.above(0, "query_pre_attn_scalar", 256) ** -0.5
    softcap = config.above_zero_or_null("attn_logit_softcapping", 50.0)
    size = config.count("sliding_window", 4096)
    window = read_windows(config, sizes.n_layer, size, lambda layer: layer % 2 == 0)
    table = embedding_table(tensors, sizes)
    unembed = unembedding(
        config,
        tensors,
        table,
        "lm_head",
        tied=True,
        softcap=config.above_zero_or_null("final_logit_softcapping", 30.0),
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
            softcap=softcap,
            mask=causal(window(layer)),
            rotary=rotary,
        )
        return sandwich(tensors, at, sizes, attention, gated(tensors, f"{at}.mlp", sizes, act))

    return language_model(
        tensors,
        sizes,
        block,
        token_embedding(table, sizes.d_model**0.5),
        gain_from_one(tensors, "norm", sizes.d_model, sizes.eps),
        unembed,
        positions,
    )


def gain_from_one(tensors: Tensors, name: str, d: int, eps: float) -> RMSNorm:
    """Gemma's files hold how far a gain is above 1."""
    return rms_norm(tensors, name, d, eps, above=1.0)


def sandwich(
    tensors: Tensors, at: str, sizes: Sizes, attention: MultiHeadAttention, net: FeedForward
) -> Block:
    """A norm before each part, and one on its result."""

    def norm(name: str) -> RMSNorm:
        return gain_from_one(tensors, f"{at}.{name}", sizes.d_model, sizes.eps)

    return (
        Sublayer(
            attention, before=norm("input_layernorm"), within=norm("post_attention_layernorm")
        ),
        Sublayer(
            net,
            before=norm("pre_feedforward_layernorm"),
            within=norm("post_feedforward_layernorm"),
        ),
    )
