"""SmolLM3: Llama without rotation in every fourth layer. Source: Hugging Face 2025 (SmolLM3); the
layers are those of Yang et al. 2025 (Rope to Nope and back again)."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
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


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint, n_kv_head=4), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head, base=2000000.0)
    bias, mlp_bias = config.switch("attention_bias"), config.switch("mlp_bias")
    rotates = _rotating(config, decoder.sizes.n_layer)
    slides = config.switch("use_sliding_window")  # read only where `layer_types` is not there
    window = read_windows(
        decoder, window_size(config, None), lambda layer: slides and not rotates[layer]
    )

    def block(layer: int) -> Block:
        mask = decoder.sizes.mask(window(layer))
        rotary = rope.rotary if rotates[layer] else None
        heads = attention(decoder, layer, bias=bias, mask=mask, rotary=rotary)
        net = feed_forward(decoder, layer, bias=mlp_bias)
        return pre_norm_block(decoder, layer, heads, net)

    none = [str(layer) for layer, rotating in enumerate(rotates) if not rotating]
    positions = (
        f"{rope.description}, none in layers {', '.join(none)}" if none else rope.description
    )
    return llama_like_model(decoder, block, positions, tied=True)


def _rotating(config: Config, n_layer: int) -> Sequence[bool]:
    """Which layers rotate queries and keys."""
    interval = config.count("no_rope_layer_interval", 4)
    if config.has("no_rope_layers"):
        return [flag != 0 for flag in config.numbers("no_rope_layers", n_layer)]
    return [(layer + 1) % interval > 0 for layer in range(n_layer)]
