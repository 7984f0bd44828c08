"""StarCoder 2: rotary positions, shared key/value heads and a window, with GPT-2's norms, biases
and feed-forward net. Source: Lozhkov et al. 2024, section 5."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.layers import feed_forward, layer_norm
from attnviz.models.build.llama_like import (
    attention,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
    window_size,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.transformer import Block

TOKENIZER = "GPT2Tokenizer"


def build(checkpoint: Checkpoint) -> Model:
    config = checkpoint.config
    decoder = read_llama_like(
        checkpoint,
        default_activation="gelu_pytorch_tanh",
        make_norm=layer_norm,
        eps_key="norm_epsilon",
        eps=1e-5,
        n_kv_head=2,
    )
    sizes = decoder.sizes
    rope = read_rope(config, sizes.d_head)
    bias, mask = config.switch("use_bias", True), sizes.mask(window_size(config, None))

    def block(layer: int) -> Block:
        heads = attention(decoder, layer, bias=bias, mask=mask, rotary=rope.rotary)
        net = feed_forward(
            decoder.tensors,
            (f"layers.{layer}.mlp.c_fc", f"layers.{layer}.mlp.c_proj"),
            sizes.d_model,
            sizes.d_ff,
            decoder.activation,
            bias=bias,
        )
        return pre_norm_block(decoder, layer, heads, net)

    return llama_like_model(decoder, block, rope.description, tied=True)
