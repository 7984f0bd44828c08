"""DINOv3's vision transformers: patches turned by their place on the image, registers, layer scale.
Source: Siméoni et al. 2025, section 3; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.layers import activation, feed_forward, gated_feed_forward, linear
from attnviz.models.build.tensors import Tensors
from attnviz.models.build.vision_transformer import (
    Sizes,
    norm,
    read_sizes,
    register_names,
    vision_model,
)
from attnviz.models.model import Model
from attnviz.models.vision.images import CLASS_TOKEN
from attnviz.nn.embedding import PatchEmbedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import Scale
from attnviz.nn.rotary import GridRotary
from attnviz.nn.transformer import Block, Sublayer

INERT = ("layerscale_value", "drop_path_rate", "apply_layernorm", "reshape_hidden_states",
         "return_class_token", "out_features", "out_indices", "stage_names",
         "pos_embed_shift", "pos_embed_jitter", "pos_embed_rescale")  # fmt: skip
"""First values, training, and what a detector built on it would take of it."""

PROJECTIONS = {"q_proj": "query_bias", "k_proj": "key_bias", "v_proj": "value_bias",
               "o_proj": "proj_bias"}  # fmt: skip
"""The field that says whether each has a bias; of these, only keys have none by default."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors(""), checkpoint.config
    registers = register_names(config, 0)
    first = CLASS_TOKEN + registers
    sizes = read_sizes(config, eps=1e-5, patch=16, processor="DINOv3ViT", resizes=True, first=first)
    if sizes.d_model // sizes.n_head % 4:
        raise config.error(
            "heads turn with row and column, so their width has to be divisible by 4"
        )
    rotary = GridRotary(config.above(0, "rope_theta", 100.0), len(first))
    biases = {name: config.switch(key, name != "k_proj") for name, key in PROJECTIONS.items()}
    d_ff, act = config.count("intermediate_size"), activation(config, "hidden_act", "gelu")
    is_gated = config.switch("use_gated_mlp")
    has_bias = config.switch("mlp_bias", True)
    config.inert(*INERT)
    config.finish()
    d = sizes.d_model
    stack = "model.layer" if tensors.has("model.layer.0.norm1.weight") else "layer"

    def net(at: str) -> FeedForward:
        if is_gated:
            return gated_feed_forward(tensors, at, d, d_ff, act, bias=has_bias)
        names = f"{at}.up_proj", f"{at}.down_proj"
        return feed_forward(tensors, names, d, d_ff, act, bias=has_bias)

    def block(layer: int) -> Block:
        at = f"{stack}.{layer}"
        return (
            Sublayer(
                _attention(tensors, f"{at}.attention", sizes, biases, rotary),
                before=norm(tensors, f"{at}.norm1", sizes),
                within=Scale(tensors.take(f"{at}.layer_scale1.lambda1", d)),
            ),
            Sublayer(
                net(f"{at}.mlp"),
                before=norm(tensors, f"{at}.norm2", sizes),
                within=Scale(tensors.take(f"{at}.layer_scale2.lambda1", d)),
            ),
        )

    return vision_model(
        checkpoint,
        tensors,
        sizes,
        _embedding(tensors, sizes, len(registers)),
        block,
        {},
        d,
        r"embeddings\.mask_token",
        last="norm",
        positions=f"rotated by row and column, base {rotary.base:g}",
    )


def _embedding(tensors: Tensors, sizes: Sizes, n_register: int) -> PatchEmbedding:
    d, model_input, at = sizes.d_model, sizes.model_input, "embeddings"
    kernel = tensors.take(
        f"{at}.patch_embeddings.weight", d, model_input.n_channel, *model_input.patch
    )
    first = [tensors.take(f"{at}.cls_token", 1, 1, d)[0]]
    if n_register or tensors.has(f"{at}.register_tokens"):
        first.append(tensors.take(f"{at}.register_tokens", 1, n_register, d)[0])
    return PatchEmbedding(
        Linear(kernel.reshape(d, -1), tensors.take(f"{at}.patch_embeddings.bias", d)),
        np.concatenate(first),
        None,
        model_input.patch,
    )


def _attention(
    tensors: Tensors, at: str, sizes: Sizes, biases: Mapping[str, bool], rotary: GridRotary
) -> MultiHeadAttention:
    d, n_head = sizes.d_model, sizes.n_head
    query, key, value, output = (
        linear(tensors, f"{at}.{name}", d, d, bias=has_bias) for name, has_bias in biases.items()
    )
    scale = (d / n_head) ** -0.5
    return MultiHeadAttention(query, key, value, output, n_head, n_head, scale=scale, rotary=rotary)
