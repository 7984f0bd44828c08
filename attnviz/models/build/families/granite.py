"""Granite: Llama with a factor on embeddings, scores, what each part adds, and logits.
Source: Granite Team 2024 (Granite 3.0), section 3, and Yang et al. 2022 (μP)."""

from __future__ import annotations

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.llama_like import (
    attention,
    feed_forward,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.norms import Scale
from attnviz.nn.transformer import Block

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    bias, mlp_bias = config.switch("attention_bias"), config.switch("mlp_bias")
    scale = config.number("attention_multiplier", 1.0)
    embedding_scale = config.number("embedding_multiplier", 1.0)
    factor = np.full(
        decoder.sizes.d_model, config.number("residual_multiplier", 1.0), decoder.tensors.dtype
    )
    output_scale = 1 / config.above(0, "logits_scaling", 1.0)

    def block(layer: int) -> Block:
        mask = decoder.sizes.mask()
        heads = attention(decoder, layer, bias=bias, scale=scale, mask=mask, rotary=rope.rotary)
        net = feed_forward(decoder, layer, bias=mlp_bias)
        parts = pre_norm_block(decoder, layer, heads, net)
        return tuple(part._replace(within=Scale(factor)) for part in parts)

    return llama_like_model(
        decoder,
        block,
        rope.description,
        embedding_scale=embedding_scale,
        output_scale=output_scale,
    )
