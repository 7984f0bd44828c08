"""OLMoE: mixtures of many small experts; queries and keys are normalised over all heads together.
Source: Muennighoff et al. 2024, section 2."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.olmo2 import norms_across_heads
from attnviz.models.build.llama_like import (
    attention,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
)
from attnviz.models.build.mixture import experts, read_experts, router
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.mixture import Mixture
from attnviz.nn.transformer import Block

TOKENIZER = "GPTNeoXTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint, eps=1e-5), checkpoint.config
    config.refuse("clip_qkv")
    config.inert("sliding_window")  # transformers hands it on to no mask
    rope = read_rope(config, decoder.sizes.d_head)
    bias, normalised = config.switch("attention_bias"), config.switch("norm_topk_prob")
    n_expert, top_k = read_experts(config)
    _, _, tensors, sizes, activation, _ = decoder

    def block(layer: int) -> Block:
        norms, at = norms_across_heads(decoder, layer), f"layers.{layer}.mlp"
        mask = sizes.mask()
        heads = attention(decoder, layer, bias=bias, mask=mask, rotary=rope.rotary, **norms)
        gate = f"{at}.gate"
        net = Mixture(
            router(tensors, gate, sizes.d_model, n_expert, top_k, normalised=normalised),
            experts(tensors, f"{at}.experts", n_expert, sizes.d_model, sizes.d_ff, activation),
        )
        return pre_norm_block(decoder, layer, heads, net)

    return llama_like_model(decoder, block, rope.description)
