"""OLMo 2: norms on what attention and feed-forward net give, none before them; queries and keys
are normalised over all heads together. Source: OLMo Team 2025, sections 2 and 3."""

from __future__ import annotations

from typing import Any

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.llama_like import (
    LlamaLike,
    attention,
    feed_forward,
    llama_like_model,
    norm,
    read_llama_like,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.masks import Mask
from attnviz.nn.multi_head import Rotary
from attnviz.nn.norms import AcrossHeads
from attnviz.nn.transformer import Block, Sublayer

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint, eps=1e-5), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    bias, mask = config.switch("attention_bias"), decoder.sizes.mask()

    def block(layer: int) -> Block:
        return inner_norm_block(decoder, layer, mask, rope.rotary, bias=bias)

    return llama_like_model(decoder, block, rope.description)


def norms_across_heads(decoder: LlamaLike, layer: int) -> dict[str, Any]:
    """The norms of queries and keys, all heads together, as fields of the attention."""
    sizes, at = decoder.sizes, f"layers.{layer}.self_attn"
    return {
        "query_norm": AcrossHeads(norm(decoder, f"{at}.q_norm", sizes.n_head * sizes.d_head)),
        "key_norm": AcrossHeads(norm(decoder, f"{at}.k_norm", sizes.n_kv_head * sizes.d_head)),
    }


def inner_norm_block(
    decoder: LlamaLike, layer: int, mask: Mask, rotary: Rotary, *, bias: bool
) -> Block:
    """A norm on the result of each part, before it is added."""
    at = f"layers.{layer}"
    norms = norms_across_heads(decoder, layer)
    heads = attention(decoder, layer, bias=bias, mask=mask, rotary=rotary, **norms)
    return (
        Sublayer(heads, within=norm(decoder, f"{at}.post_attention_layernorm")),
        Sublayer(
            feed_forward(decoder, layer),
            within=norm(decoder, f"{at}.post_feedforward_layernorm"),
        ),
    )
