"""Qwen2 and Qwen2.5: biases of queries, keys and values; upper layers may slide.
Source: Yang et al. 2024, section 2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.llama_like import (
    LlamaLike,
    Windows,
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

TOKENIZER = "Qwen2Tokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    window = upper_windows(decoder)

    def block(layer: int) -> Block:
        heads = attention(
            decoder,
            layer,
            bias=True,
            output_bias=False,
            mask=decoder.sizes.mask(window(layer)),
            rotary=rope.rotary,
        )
        return pre_norm_block(decoder, layer, heads, feed_forward(decoder, layer))

    return llama_like_model(decoder, block, rope.description)


def upper_windows(decoder: LlamaLike) -> Windows:
    """The window of each layer: those from `max_window_layers` on slide, if any do."""
    config = decoder.config
    first = config.whole("max_window_layers", 28)
    config.inert("sliding_window")  # unless the next field says that it is used
    size = window_size(config) if config.switch("use_sliding_window") else None
    return read_windows(decoder, size, lambda layer: layer >= first)
