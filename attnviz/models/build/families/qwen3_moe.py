"""Qwen3-MoE: Qwen3 with mixtures of many small experts. Source: Yang et al. 2025, section 2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.qwen2_moe import mixtures, used_window
from attnviz.models.build.llama_like import (
    attention,
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
    bias, mask = config.switch("attention_bias"), decoder.sizes.mask(used_window(config))
    config.inert("max_window_layers")  # of the dense models; here all layers slide, or none
    net = mixtures(decoder, default_width=768)

    def block(layer: int) -> Block:
        norms = head_norms(decoder, layer)
        heads = attention(decoder, layer, bias=bias, mask=mask, rotary=rope.rotary, **norms)
        return pre_norm_block(decoder, layer, heads, net(layer))

    return llama_like_model(decoder, block, rope.description)
