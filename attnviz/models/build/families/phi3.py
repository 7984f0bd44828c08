"""Phi-3 and Phi-3.5 mini: fused projections, factors for long texts. Source: Abdin et al. 2024."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.decoder import with_heads
from attnviz.models.build.layers import linear
from attnviz.models.build.llama_like import (
    llama_like_model,
    pre_norm_block,
    read_llama_like,
    window_size,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.transformer import Block

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head, fraction=1.0)
    config.require("attention_bias", False)
    config.inert("layer_types")  # all layers slide, or none
    tensors, sizes, d_ff = decoder.tensors, decoder.sizes, decoder.sizes.d_ff
    mask = sizes.mask(window_size(config, None))
    width, kv_width = sizes.n_head * sizes.d_head, sizes.n_kv_head * sizes.d_head

    def fused(name: str, *widths: int) -> list[Linear]:
        """Linear maps one under the other in one matrix."""
        stops = [sum(widths[: i + 1]) for i in range(len(widths))]
        return [
            linear(
                tensors,
                name,
                sizes.d_model,
                stops[-1],
                bias=False,
                rows=slice(stop - width, stop),
            )
            for stop, width in zip(stops, widths, strict=True)
        ]

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        query, key, value = fused(f"{at}.self_attn.qkv_proj", width, kv_width, kv_width)
        output = linear(tensors, f"{at}.self_attn.o_proj", width, sizes.d_model, bias=False)
        heads = with_heads(sizes, query, key, value, output, mask=mask, rotary=rope.rotary)
        gate, up = fused(f"{at}.mlp.gate_up_proj", d_ff, d_ff)
        down = linear(tensors, f"{at}.mlp.down_proj", d_ff, sizes.d_model, bias=False)
        net = FeedForward(up=up, down=down, activation=decoder.activation, gate=gate)
        return pre_norm_block(decoder, layer, heads, net)

    return llama_like_model(decoder, block, rope.description)
