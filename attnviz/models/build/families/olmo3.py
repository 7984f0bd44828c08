"""OLMo 3: OLMo 2 with three sliding layers of four, whose rotation is never scaled.
Source: OLMo Team 2025 (Olmo 3), section 3.2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.families.olmo2 import inner_norm_block
from attnviz.models.build.llama_like import (
    llama_like_model,
    read_llama_like,
    read_windows,
    sliding_window,
)
from attnviz.models.build.rope import Rope, read_nested_ropes, read_rope, read_rope_section
from attnviz.models.model import Model
from attnviz.nn.transformer import Block

TOKENIZER = "TokenizersBackend"

BASE = 500000.0
"""Of the rotation, where the config does not say."""


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint, eps=1e-5), checkpoint.config
    sliding, full = _ropes(config, decoder.sizes.d_head)
    bias = config.switch("attention_bias")
    window = read_windows(decoder, sliding_window(config), lambda layer: (layer + 1) % 4 > 0)

    def block(layer: int) -> Block:
        slides = window(layer)
        rotary = (full if slides is None else sliding).rotary
        return inner_norm_block(decoder, layer, decoder.sizes.mask(slides), rotary, bias=bias)

    positions = f"{sliding.description} where the window slides, {full.description} elsewhere"
    return llama_like_model(decoder, block, positions)


def _ropes(config: Config, d_head: int) -> tuple[Rope, Rope]:
    """The rotations of sliding and of full layers."""
    ropes = read_nested_ropes(config, d_head, base=BASE)
    if ropes is not None:
        return ropes
    if config.has("rope_parameters"):
        raise config.error("rope_parameters has no section full_attention")
    config.require(
        "rope_theta", BASE, int(BASE)
    )  # transformers 5 and 4 read another one in two ways
    sliding = read_rope_section(config, config.part({}), d_head, base=BASE)
    return sliding, read_rope(config, d_head, base=BASE)
