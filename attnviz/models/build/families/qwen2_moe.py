"""Qwen1.5-MoE and Qwen2-MoE: Qwen2 with mixtures, and an expert that all tokens share behind a
gate. Source: Yang et al. 2024 (Qwen2), section 2.2.2."""

from __future__ import annotations

from collections.abc import Callable

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.layers import gated_feed_forward, linear
from attnviz.models.build.llama_like import (
    LlamaLike,
    attention,
    feed_forward,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
    read_windows,
    window_size,
)
from attnviz.models.build.mixture import experts, read_experts, router
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.mixture import Mixture
from attnviz.nn.transformer import Block, Part

TOKENIZER = "Qwen2Tokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    bias = config.switch("qkv_bias", True)
    last = config.whole("max_window_layers", 28)
    size = used_window(config)
    window = read_windows(decoder, size, lambda layer: layer % 2 == 0 and layer < last)
    d_shared = config.count("shared_expert_intermediate_size", 5632)
    net = mixtures(decoder, default_width=1408, d_shared=d_shared)

    def block(layer: int) -> Block:
        heads = attention(
            decoder,
            layer,
            bias=bias,
            output_bias=False,
            mask=decoder.sizes.mask(window(layer)),
            rotary=rope.rotary,
        )
        return pre_norm_block(decoder, layer, heads, net(layer))

    return llama_like_model(decoder, block, rope.description)


def used_window(config: Config) -> int | None:
    """The sliding window; None, whatever its size, where it is not used. transformers 5 saves 0
    for none."""
    is_used, size = config.switch("use_sliding_window"), config.get("sliding_window", 4096)
    if not is_used or (size == 0 and config.has("layer_types")):
        return None
    return window_size(config)


def mixtures(
    decoder: LlamaLike, *, default_width: int, d_shared: int | None = None
) -> Callable[[int], Part]:
    """The feed-forward part of each layer: a mixture in every `decoder_sparse_step`-th one but
    `mlp_only_layers`, else a plain net. With `d_shared`, all tokens share an expert so wide."""
    _, config, tensors, sizes, activation, _ = decoder
    n_expert, top_k = read_experts(config)
    step = config.count("decoder_sparse_step", 1)
    plain = config.wholes("mlp_only_layers")
    d_ff = config.count("moe_intermediate_size", default_width)
    normalised = config.switch("norm_topk_prob")

    def net(layer: int) -> Part:
        if layer in plain or (layer + 1) % step:
            return feed_forward(decoder, layer)
        at, d_model = f"layers.{layer}.mlp", sizes.d_model
        mixture = Mixture(
            router(tensors, f"{at}.gate", d_model, n_expert, top_k, normalised=normalised),
            experts(tensors, f"{at}.experts", n_expert, d_model, d_ff, activation),
        )
        if d_shared is None:
            return mixture
        return mixture._replace(
            shared=gated_feed_forward(
                tensors, f"{at}.shared_expert", d_model, d_shared, activation
            ),
            shared_gate=linear(tensors, f"{at}.shared_expert_gate", d_model, 1, bias=False),
        )

    return net
