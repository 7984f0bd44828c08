"""Mistral: Llama with a sliding window. Source: Jiang et al. 2023, section 2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.llama_like import (
    attention,
    feed_forward,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
    read_windows,
    window_size,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.transformer import Block

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    window = read_windows(decoder, window_size(config))

    def block(layer: int) -> Block:
        heads = attention(
            decoder, layer, mask=decoder.sizes.mask(window(layer)), rotary=rope.rotary
        )
        return pre_norm_block(decoder, layer, heads, feed_forward(decoder, layer))

    return llama_like_model(decoder, block, rope.description)
