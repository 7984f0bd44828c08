"""DINOv2: a ViT with layer scale, at images of any size. Source: Oquab et al. 2024, section 4;
tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.layers import activation, feed_forward, linear
from attnviz.models.build.tensors import Tensors
from attnviz.models.build.vision_transformer import (
    attention,
    norm,
    patch_embedding,
    read_sizes,
    vision_model,
)
from attnviz.models.model import Model
from attnviz.models.vision.images import CLASS_TOKEN
from attnviz.nn.activations import silu
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.norms import Scale
from attnviz.nn.pooling import class_token_and_mean
from attnviz.nn.transformer import Block, Sublayer

INERT = ("layerscale_value", "drop_path_rate", "use_mask_token", "apply_layernorm",
         "reshape_hidden_states", "out_features", "out_indices", "stage_names")  # fmt: skip
"""First values, training, and what a detector built on it would take of it."""


def build(checkpoint: Checkpoint) -> Model:
    return build_dinov2(checkpoint, "dinov2", patch=14)


def build_dinov2(
    checkpoint: Checkpoint,
    prefix: str,
    patch: int,
    registers: tuple[str, ...] = (),
    *,
    smooth: bool = False,
) -> Model:
    """A DINOv2 whose tensors' names begin with `prefix`; `patch` is the family's default, and
    `smooth` how it resizes positions: see `GridPositions`."""
    tensors, config = checkpoint.tensors(f"{prefix}."), checkpoint.config
    first = CLASS_TOKEN + registers
    sizes = read_sizes(config, eps=1e-6, patch=patch, processor="Bit", resizes=True, first=first)
    d_model, d_ff = sizes.d_model, sizes.d_model * config.count("mlp_ratio", 4)
    act = activation(config, "hidden_act", "gelu")
    is_gated = config.switch("use_swiglu_ffn")
    config.inert(*INERT)
    config.finish()

    def net(at: str) -> FeedForward:
        if is_gated:
            return swiglu(tensors, at, d_model, d_ff)
        return feed_forward(tensors, (f"{at}.fc1", f"{at}.fc2"), d_model, d_ff, act)

    def block(layer: int) -> Block:
        at = f"encoder.layer.{layer}"
        return (
            Sublayer(
                attention(tensors, f"{at}.attention", sizes),
                before=norm(tensors, f"{at}.norm1", sizes),
                within=Scale(tensors.take(f"{at}.layer_scale1.lambda1", d_model)),
            ),
            Sublayer(
                net(f"{at}.mlp"),
                before=norm(tensors, f"{at}.norm2", sizes),
                within=Scale(tensors.take(f"{at}.layer_scale2.lambda1", d_model)),
            ),
        )

    embedding = patch_embedding(tensors, sizes, n_register=len(registers), smooth=smooth)
    heads = {"classifier": partial(class_token_and_mean, len(first))}
    ignored = rf"({prefix}\.)?embeddings\.mask_token"  # what only training uses
    return vision_model(
        checkpoint,
        tensors,
        sizes,
        embedding,
        block,
        heads,
        2 * d_model,
        ignored,
        positions="learned, resized to the image",
    )


def swiglu(tensors: Tensors, at: str, d_model: int, d_ff: int) -> FeedForward:
    """A gated net of about as many weights as a plain one of width d_ff: two thirds of it, up to
    a multiple of 8. The file has the gate and what it is multiplied with in one tensor."""
    width = (int(d_ff * 2 / 3) + 7) // 8 * 8

    def half(rows: slice) -> Linear:
        return linear(tensors, f"{at}.weights_in", d_model, 2 * width, rows=rows)

    return FeedForward(
        up=half(slice(width, None)),
        down=linear(tensors, f"{at}.weights_out", width, d_model),
        activation=silu,
        gate=half(slice(0, width)),
    )
