"""The frame of vision transformers: patches behind a class token, an encoder, a classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.layers import head_width, layer_norm, linear
from attnviz.models.build.outputs import predicts_other, read_labels
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.models.tokenizers.readers import NoText
from attnviz.models.vision.images import CLASS_TOKEN
from attnviz.models.vision.preprocessor import VisionInput
from attnviz.models.vision.preprocessor_config import read_preprocessor
from attnviz.nn.embedding import PatchEmbedding, Unembed
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import LayerNorm
from attnviz.nn.patches import GridPositions
from attnviz.nn.pooling import Classifier, Mean
from attnviz.nn.transformer import Block, Stack, Transformer
from attnviz.nn.types import Array

Pool = Callable[[Array], Array]
"""[n_token, d_model] -> [1, d_pooled]: what a classifier reads."""

MAX_SIDE = 1 << 14
MAX_REGISTERS = 1 << 10


class Sizes(NamedTuple):
    """What the config of every vision transformer says."""

    n_layer: int
    n_head: int
    d_model: int
    eps: float
    qkv_bias: bool
    labels: tuple[str, ...]
    model_input: VisionInput


def read_sizes(
    config: Config,
    *,
    eps: float,
    patch: int,
    processor: str,
    resizes: bool,
    first: tuple[str, ...] = CLASS_TOKEN,
) -> Sizes:
    """`eps` and `patch` are the defaults of the family; for the others see `VisionInput`."""
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    head_width(config, d_model, n_head)
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        d_model=d_model,
        eps=config.above(0, "layer_norm_eps", eps),
        qkv_bias=config.switch("qkv_bias", True),
        labels=read_labels(config),
        model_input=read_image_input(
            config, patch=patch, processor=processor, resizes=resizes, first=first
        ),
    )


def read_image_input(
    config: Config,
    *,
    patch: int,
    processor: str,
    resizes: bool = False,
    first: tuple[str, ...] = CLASS_TOKEN,
) -> VisionInput:
    """`patch` is the default of the family; for the others see `VisionInput`."""
    size, shape = _sides(config, "image_size", 224), _sides(config, "patch_size", patch)
    if size[0] < shape[0] or size[1] < shape[1]:
        raise config.error(f"patch_size {list(shape)} is larger than image_size {list(size)}")
    return VisionInput(config.count("num_channels", 3), *size, shape, resizes, processor, first)


def register_names(config: Config, default: int) -> tuple[str, ...]:
    """Of the tokens that hold nothing of the image at first: Darcet et al. 2024."""
    n_register = config.whole("num_register_tokens", default)
    if n_register > MAX_REGISTERS:
        raise config.error(f"num_register_tokens: {n_register} is more than {MAX_REGISTERS}")
    return tuple(f"[REG{number}]" for number in range(n_register))


def patch_embedding(
    tensors: Tensors,
    sizes: Sizes,
    *,
    tokens: tuple[str, ...] = ("cls_token",),
    n_register: int = 0,
    smooth: bool = False,
) -> PatchEmbedding:
    """The convolution whose steps are as long as its kernel is a linear map of patches.

    Args:
        tokens: the tensors of the tokens before the patches that have positions.
        n_register: how many follow them that have none.
        smooth: see `GridPositions`.
    """
    at, d, model_input = "embeddings", sizes.d_model, sizes.model_input
    rows, columns = (
        model_input.height // model_input.patch[0],
        model_input.width // model_input.patch[1],
    )
    kernel = tensors.take(
        f"{at}.patch_embeddings.projection.weight", d, model_input.n_channel, *model_input.patch
    )
    n = len(tokens)
    positions = tensors.take(f"{at}.position_embeddings", 1, n + rows * columns, d)[0]
    first = [tensors.take(f"{at}.{name}", 1, 1, d)[0] for name in tokens]
    if n_register:
        first.append(tensors.take(f"{at}.register_tokens", 1, n_register, d)[0])
    return PatchEmbedding(
        patches=Linear(
            kernel.reshape(d, -1), tensors.take(f"{at}.patch_embeddings.projection.bias", d)
        ),
        first=np.concatenate(first),
        positions=GridPositions(positions[n:].reshape(rows, columns, d), smooth),
        patch=model_input.patch,
        first_positions=positions[:n],
    )


def attention(tensors: Tensors, at: str, sizes: Sizes) -> MultiHeadAttention:
    """Attention whose projections are below `at`."""
    d, n_head = sizes.d_model, sizes.n_head

    def projection(name: str) -> Linear:
        return linear(tensors, f"{at}.attention.{name}", d, d, bias=sizes.qkv_bias)

    return MultiHeadAttention(
        query=projection("query"),
        key=projection("key"),
        value=projection("value"),
        output=linear(tensors, f"{at}.output.dense", d, d),
        n_head=n_head,
        n_kv_head=n_head,
        scale=(d / n_head) ** -0.5,
    )


def norm(tensors: Tensors, name: str, sizes: Sizes) -> LayerNorm:
    return layer_norm(tensors, name, sizes.d_model, sizes.eps)


def vision_model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    sizes: Sizes,
    embedding: PatchEmbedding,
    block: Callable[[int], Block],
    heads: Mapping[str, Pool],
    d_pooled: int,
    ignored: str,
    *,
    last: str = "layernorm",
    positions: str = "learned",
) -> Model:
    """An encoder, with a classifier where the file has one, which reads its normalised output: no
    hidden state is normalised.

    Args:
        heads: what each classifier reads, by its name in the file; the answer is the mean of all.
        d_pooled: the width of that.
        ignored: as of `trained_model`.
        last: the name of the norm behind the encoder.
        positions: what the screen says of them.
    """
    blocks = tuple(block(layer) for layer in range(sizes.n_layer))
    encoder, last_norm = Stack("encoder", blocks), norm(tensors, last, sizes)
    labels: tuple[str, ...] = ()
    unembed: Unembed | None = None
    has_all = all(tensors.has(f"{name}.weight") for name in heads)
    if heads and has_all and not predicts_other(checkpoint.config):
        labels = sizes.labels
        parts = [
            Classifier(linear(tensors, name, d_pooled, len(labels)), pool, last_norm)
            for name, pool in heads.items()
        ]
        unembed = parts[0] if len(parts) == 1 else Mean(tuple(parts))
    model_input = sizes.model_input
    return trained_model(
        checkpoint,
        tensors,
        Transformer(encoder=encoder, source=embedding, unembed=unembed),
        {
            "n_layer": sizes.n_layer,
            "n_head": sizes.n_head,
            "d_model": sizes.d_model,
            "image": f"{model_input.width} × {model_input.height}",
            "positions": positions,
            "patch": f"{model_input.patch[1]} × {model_input.patch[0]}",
            **_first(model_input.first),
        },
        ignored=ignored,
        tokenizer=NoText(),
        task="classify" if labels else "",
        labels=labels,
        image=read_preprocessor(model_input, checkpoint.preprocessor),
    )


def _first(names: tuple[str, ...]) -> dict[str, str]:
    """What the screen says of tokens before the patches besides the class token."""
    others = " ".join(name for name in names if name not in CLASS_TOKEN)
    return {"tokens": f"{others} before the patches"} if others else {}


def _sides(config: Config, key: str, default: int) -> tuple[int, int]:
    """A height and a width, or one number for both."""
    value = config.get(key, default)
    height, width = value if isinstance(value, list) and len(value) == 2 else (value, value)
    for side in (height, width):
        if not isinstance(side, int) or isinstance(side, bool) or not 0 < side <= MAX_SIDE:
            raise config.error(
                f"{key}: expected a height and a width in pixels, up to {MAX_SIDE}, "
                f"got {str(value)[:40]}"
            )
    return height, width
