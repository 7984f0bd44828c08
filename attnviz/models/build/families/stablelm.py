"""StableLM: Llama with layer norms, a quarter of the features rotated, and options of StableLM 2.
Source: Bellagente et al. 2024 (Stable LM 2), section 2.2."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.layers import layer_norm
from attnviz.models.build.llama_like import (
    LlamaLike,
    attention,
    feed_forward,
    llama_like_model,
    parallel_block,
    pre_norm_block,
    read_llama_like,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.norms import LayerNorm
from attnviz.nn.transformer import Block

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    config = checkpoint.config
    decoder = read_llama_like(
        checkpoint, make_norm=layer_norm, eps_key="layer_norm_eps", eps=1e-5, n_kv_head=32
    )
    rope = read_rope(config, decoder.sizes.d_head, fraction=0.25)
    bias, mask = config.switch("use_qkv_bias"), decoder.sizes.mask()
    make_block = parallel_block if config.switch("use_parallel_residual") else pre_norm_block
    norms = _head_norms if config.switch("qk_layernorm") else lambda decoder, layer: {}

    def block(layer: int) -> Block:
        heads = attention(
            decoder,
            layer,
            bias=bias,
            output_bias=False,
            mask=mask,
            rotary=rope.rotary,
            **norms(decoder, layer),
        )
        return make_block(decoder, layer, heads, feed_forward(decoder, layer))

    return llama_like_model(decoder, block, rope.description)


def _head_norms(decoder: LlamaLike, layer: int) -> dict[str, Any]:
    """Each head has a tensor of its own."""
    at, sizes = f"layers.{layer}.self_attn", decoder.sizes

    def head_norm(name: str, n_head: int) -> LayerNorm:
        names = (f"{at}.{name}.norms.{head}.weight" for head in range(n_head))
        gains = [decoder.tensors.take(each, sizes.d_head) for each in names]
        return LayerNorm(np.stack(gains)[:, None], eps=sizes.eps)

    return {
        "query_norm": head_norm("q_layernorm", sizes.n_head),
        "key_norm": head_norm("k_layernorm", sizes.n_kv_head),
    }
