"""Command R and Aya: attention and feed-forward net in parallel, behind a layer norm without shift.
Source: Cohere's code in transformers; the block is that of Chowdhery et al. 2022 (PaLM), section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.layers import layer_norm
from attnviz.models.build.llama_like import (
    LlamaLike,
    attention,
    feed_forward,
    llama_like_model,
    parallel_block,
    read_llama_like,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.norms import LayerNorm
from attnviz.nn.transformer import Block

TOKENIZER = "CohereTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_cohere(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head, base=500000.0, style="interleaved")
    norms = _head_norms if config.switch("use_qk_norm") else lambda decoder, layer: {}

    def fields(layer: int) -> dict[str, Any]:
        mask = decoder.sizes.mask()
        return {"mask": mask, "rotary": rope.rotary, **norms(decoder, layer)}

    return cohere_model(decoder, fields, rope.description)


def read_cohere(checkpoint: Checkpoint) -> LlamaLike:
    """What Cohere's models share."""
    return read_llama_like(
        checkpoint,
        make_norm=partial(layer_norm, bias=False),
        eps_key="layer_norm_eps",
        eps=1e-5,
    )


def cohere_model(
    decoder: LlamaLike, fields: Callable[[int], dict[str, Any]], positions: str
) -> Model:
    """`fields` are those of a layer's attention."""
    bias = decoder.config.switch("attention_bias")
    scale = decoder.config.number("logit_scale", 0.0625)

    def block(layer: int) -> Block:
        heads = attention(decoder, layer, bias=bias, **fields(layer))
        return parallel_block(decoder, layer, heads, feed_forward(decoder, layer))

    return llama_like_model(decoder, block, positions, tied=True, output_scale=scale)


def _head_norms(decoder: LlamaLike, layer: int) -> dict[str, Any]:
    """Each head has a gain of its own."""
    at, sizes = f"layers.{layer}.self_attn", decoder.sizes

    def head_norm(name: str, n_head: int) -> LayerNorm:
        gain = decoder.tensors.take(f"{at}.{name}.weight", n_head, sizes.d_head)
        return LayerNorm(gain[:, None], eps=sizes.eps)

    return {
        "query_norm": head_norm("q_norm", sizes.n_head),
        "key_norm": head_norm("k_norm", sizes.n_kv_head),
    }
