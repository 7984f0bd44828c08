"""ViT. Source: Dosovitskiy et al. 2021; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.layers import activation, feed_forward
from attnviz.models.build.tensors import Tensors
from attnviz.models.build.vision_transformer import (
    Sizes,
    attention,
    norm,
    patch_embedding,
    read_sizes,
    vision_model,
)
from attnviz.models.model import Model
from attnviz.nn.activations import Activation
from attnviz.nn.pooling import token
from attnviz.nn.transformer import Block, Sublayer

IGNORED = r"(vit\.)?(embeddings\.mask_token|pooler\..*)|decoder\..*"
"""Tensors that no attention, no hidden state and no class depends on."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("vit."), checkpoint.config
    sizes = read_sizes(config, eps=1e-12, patch=16, processor="ViT", resizes=False)
    d_ff, act = config.count("intermediate_size"), activation(config, "hidden_act", "gelu")
    config.inert("encoder_stride")
    config.finish()
    block = blocks(tensors, sizes, d_ff, act)
    embedding, heads = patch_embedding(tensors, sizes), {"classifier": partial(token, 0)}
    return vision_model(checkpoint, tensors, sizes, embedding, block, heads, sizes.d_model, IGNORED)


def blocks(tensors: Tensors, sizes: Sizes, d_ff: int, act: Activation) -> Callable[[int], Block]:
    """What makes each layer."""

    def block(layer: int) -> Block:
        at = f"encoder.layer.{layer}"
        names = f"{at}.intermediate.dense", f"{at}.output.dense"
        return (
            Sublayer(
                attention(tensors, f"{at}.attention", sizes),
                before=norm(tensors, f"{at}.layernorm_before", sizes),
            ),
            Sublayer(
                feed_forward(tensors, names, sizes.d_model, d_ff, act),
                before=norm(tensors, f"{at}.layernorm_after", sizes),
            ),
        )

    return block
