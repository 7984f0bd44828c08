"""Llama 1 to 3, and Mistral's ancestors in GGUF. Source: Touvron et al. 2023; Grattafiori et al.
2024, section 3.2; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

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
from attnviz.nn.transformer import Block


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    bias, mlp_bias = config.switch("attention_bias"), config.switch("mlp_bias")

    def block(layer: int) -> Block:
        heads = attention(decoder, layer, bias=bias, mask=decoder.sizes.mask(), rotary=rope.rotary)
        net = feed_forward(decoder, layer, bias=mlp_bias)
        return pre_norm_block(decoder, layer, heads, net)

    return llama_like_model(decoder, block, rope.description)
