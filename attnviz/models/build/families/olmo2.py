"""OLMo 2: norms on what attention and feed-forward net give, none before them; queries and keys
are normalised over all heads together. Source: OLMo Team 2025, sections 2 and 3."""

from __future__ import annotations

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


def inner_norm_block(
    decoder: LlamaLike, layer: int, mask: Mask, rotary: Rotary, *, bias: bool
) -> Block:
    """A norm on the result of each part, before it is added."""
    sizes, at = decoder.sizes, f"layers.{layer}"
    heads = attention(
        decoder,
        layer,
        bias=bias,
        mask=mask,
        rotary=rotary,
        query_norm=AcrossHeads(
            norm(decoder, f"{at}.self_attn.q_norm", sizes.n_head * sizes.d_head)
        ),
        key_norm=AcrossHeads(
            norm(decoder, f"{at}.self_attn.k_norm", sizes.n_kv_head * sizes.d_head)
        ),
    )
    return (
        Sublayer(heads, within=norm(decoder, f"{at}.post_attention_layernorm")),
        Sublayer(
            feed_forward(decoder, layer),
            within=norm(decoder, f"{at}.post_feedforward_layernorm"),
        ),
    )
