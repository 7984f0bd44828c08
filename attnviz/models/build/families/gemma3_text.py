"""Gemma 3, its text: one layer in six sees everything, with a rotation of its own; queries and
keys are normalised. Source: Gemma Team 2025, section 2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.families.gemma2 import (
    gemma_model,
    read_gemma,
    sandwich_block,
    score_scale,
)
from attnviz.models.build.llama_like import attention, head_norms, read_windows, sliding_window
from attnviz.models.build.rope import Rope, read_nested_ropes, read_rope, read_rope_section
from attnviz.models.model import Model
from attnviz.nn.transformer import Block

TOKENIZER = "GemmaTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_gemma(checkpoint), checkpoint.config
    sees_both_sides = config.switch("use_bidirectional_attention")
    if sees_both_sides:  # EmbeddingGemma
        config.require("is_causal", True)
        decoder = decoder._replace(sizes=decoder.sizes._replace(is_causal=False))
    sliding, full = _ropes(config, decoder.sizes.d_head)
    bias, scale = config.switch("attention_bias"), score_scale(config)
    config.refuse("attn_logit_softcapping")
    old_period = config.count("sliding_window_pattern", 6)
    period = config.count("_sliding_window_pattern", old_period)
    size = sliding_window(config)
    if sees_both_sides:
        size //= 2  # to each side
    window = read_windows(decoder, size, lambda layer: (layer + 1) % period > 0)

    def block(layer: int) -> Block:
        heads = attention(
            decoder,
            layer,
            bias=bias,
            scale=scale,
            mask=decoder.sizes.mask(window(layer)),
            rotary=full.rotary if window(layer) is None else sliding.rotary,
            **head_norms(decoder, layer),
        )
        return sandwich_block(decoder, layer, heads)

    positions = f"{sliding.description} where the window slides, {full.description} elsewhere"
    return gemma_model(decoder, block, positions, default_softcap=None)


def _ropes(config: Config, d_head: int) -> tuple[Rope, Rope]:
    """The rotations of sliding and of full layers."""
    ropes = read_nested_ropes(config, d_head)
    if ropes is not None:
        return ropes
    local = config.part({"rope_theta": config.above(0, "rope_local_base_freq", 10000.0)})
    return read_rope_section(config, local, d_head), read_rope(config, d_head, base=1e6)
