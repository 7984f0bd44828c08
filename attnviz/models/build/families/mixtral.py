"""Mixtral: Mistral with a mixture of experts in each layer. Source: Jiang et al. 2024, section 2;
tensor names as in Hugging Face's checkpoints, before transformers 5 and since."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.llama_like import (
    LlamaLike,
    attention,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
    window_size,
)
from attnviz.models.build.mixture import experts, read_experts, router
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.mixture import Mixture
from attnviz.nn.transformer import Block

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head, base=1000000.0)
    mask = decoder.sizes.mask(window_size(config, None))
    n_expert, top_k = read_experts(config)

    def block(layer: int) -> Block:
        heads = attention(decoder, layer, mask=mask, rotary=rope.rotary)
        return pre_norm_block(decoder, layer, heads, _mixture(decoder, layer, n_expert, top_k))

    return llama_like_model(decoder, block, rope.description)


def _mixture(decoder: LlamaLike, layer: int, n_expert: int, top_k: int) -> Mixture:
    _, _, tensors, sizes, activation, _ = decoder
    old, new = f"layers.{layer}.block_sparse_moe", f"layers.{layer}.mlp"
    at = new if tensors.has(f"{new}.gate.weight") else old
    return Mixture(
        router(tensors, f"{at}.gate", sizes.d_model, n_expert, top_k, normalised=True),
        experts(
            tensors,
            f"{at}.experts",
            n_expert,
            sizes.d_model,
            sizes.d_ff,
            activation,
            ("w1", "w3", "w2"),
        ),
    )
