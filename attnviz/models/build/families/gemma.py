"""Gemma: Llama with embeddings scaled by √d, a gated GELU, and heads wider than their share.
Source: Gemma Team 2024 (Gemma: Open Models Based on Gemini Research and Technology), section 2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.gemma2 import gemma_model, read_gemma
from attnviz.models.build.llama_like import (
    attention,
    feed_forward,
    pre_norm_block,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.activations import gelu_tanh
from attnviz.nn.transformer import Block

TOKENIZER = "GemmaTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    config = checkpoint.config
    decoder = read_gemma(checkpoint, "hidden_act")
    if config.text("hidden_act", "") == "gelu":  # the first files say so and mean the other
        decoder = decoder._replace(activation=gelu_tanh)
    config.require("hidden_activation", "gelu_pytorch_tanh")  # what some files say beside it
    config.require("use_bidirectional_attention", False)
    rope = read_rope(config, decoder.sizes.d_head)
    bias = config.switch("attention_bias")

    def block(layer: int) -> Block:
        heads = attention(decoder, layer, bias=bias, mask=decoder.sizes.mask(), rotary=rope.rotary)
        return pre_norm_block(decoder, layer, heads, feed_forward(decoder, layer))

    return gemma_model(decoder, block, rope.description, default_softcap=None)
