"""Qwen3: queries and keys are normalised head by head. Source: Yang et al. 2025, section 2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.qwen2 import upper_windows
from attnviz.models.build.llama_like import (
    attention,
    feed_forward,
    head_norms,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.transformer import Block

TOKENIZER = "Qwen2Tokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    bias = config.switch("attention_bias")
    window = upper_windows(decoder)

    def block(layer: int) -> Block:
        heads = attention(
            decoder,
            layer,
            bias=bias,
            mask=decoder.sizes.mask(window(layer)),
            rotary=rope.rotary,
            **head_norms(decoder, layer),
        )
        return pre_norm_block(decoder, layer, heads, feed_forward(decoder, layer))

    return llama_like_model(decoder, block, rope.description)
