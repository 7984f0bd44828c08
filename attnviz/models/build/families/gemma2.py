"""Gemma 2: norms before and behind, capped scores, every second layer slides.
Source: Gemma Team 2024, section 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.layers import rms_norm
from attnviz.models.build.llama_like import (
    LlamaLike,
    attention,
    feed_forward,
    llama_like_model,
    norm,
    read_llama_like,
    read_windows,
    sliding_window,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.transformer import Block, Sublayer

TOKENIZER = "GemmaTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_gemma(checkpoint), checkpoint.config
    config.require("use_bidirectional_attention", False)
    config.inert("hidden_act")  # of old files; it was never used
    rope = read_rope(config, decoder.sizes.d_head)
    bias, scale = config.switch("attention_bias"), score_scale(config)
    softcap = config.above_zero_or_null("attn_logit_softcapping", 50.0)
    window = read_windows(decoder, sliding_window(config), lambda layer: layer % 2 == 0)

    def block(layer: int) -> Block:
        heads = attention(
            decoder,
            layer,
            bias=bias,
            scale=scale,
            softcap=softcap,
            mask=decoder.sizes.mask(window(layer)),
            rotary=rope.rotary,
        )
        return sandwich_block(decoder, layer, heads)

    return gemma_model(decoder, block, rope.description, default_softcap=30.0)


def read_gemma(checkpoint: Checkpoint, activation_key: str = "hidden_activation") -> LlamaLike:
    """What all Gemmas share. Their files hold how far a gain is above 1."""
    return read_llama_like(
        checkpoint,
        activation_key,
        "gelu_pytorch_tanh",
        make_norm=partial(rms_norm, offset=1.0),
    )


def score_scale(config: Config) -> float:
    scale: float = config.above(0, "query_pre_attn_scalar", 256) ** -0.5
    return scale


def sandwich_block(decoder: LlamaLike, layer: int, attention: MultiHeadAttention) -> Block:
    """A norm before each part, and one on its result."""
    at = f"layers.{layer}"
    return (
        Sublayer(
            attention,
            before=norm(decoder, f"{at}.input_layernorm"),
            within=norm(decoder, f"{at}.post_attention_layernorm"),
        ),
        Sublayer(
            feed_forward(decoder, layer),
            before=norm(decoder, f"{at}.pre_feedforward_layernorm"),
            within=norm(decoder, f"{at}.post_feedforward_layernorm"),
        ),
    )


def gemma_model(
    decoder: LlamaLike, block: Callable[[int], Block], positions: str, default_softcap: float | None
) -> Model:
    softcap = decoder.config.above_zero_or_null("final_logit_softcapping", default_softcap)
    return llama_like_model(
        decoder,
        block,
        positions,
        tied=True,
        embedding_scale=decoder.sizes.d_model**0.5,
        softcap=softcap,
    )
