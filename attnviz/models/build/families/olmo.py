"""OLMo 1: a Llama whose norms have nothing to learn, and whose queries, keys and values may be
clipped. Source: Groeneveld et al. 2024, section 2.1."""

from __future__ import annotations

from typing import Any

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
from attnviz.nn.linear import Clipped
from attnviz.nn.norms import LayerNorm
from attnviz.nn.transformer import Block

TOKENIZER = "GPTNeoXTokenizer"
EPS = 1e-5


def build(checkpoint: Checkpoint) -> Model:
    decoder = read_llama_like(checkpoint, make_norm=_plain_norm)
    config = checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    bias = config.switch("attention_bias")
    limit = config.above(0, "clip_qkv") if config.has("clip_qkv") else None

    def block(layer: int) -> Block:
        heads = attention(decoder, layer, bias=bias, mask=decoder.sizes.mask(), rotary=rope.rotary)
        if limit is not None:
            parts = (heads.query, heads.key, heads.value)
            query, key, value = (Clipped(part, limit) for part in parts)
            heads = heads._replace(query=query, key=key, value=value)
        return pre_norm_block(decoder, layer, heads, feed_forward(decoder, layer))

    return llama_like_model(decoder, block, rope.description)


def _plain_norm(*_: Any, **__: Any) -> LayerNorm:
    """A norm without gain and shift, whatever the file holds."""
    return LayerNorm(eps=EPS)
