"""CLIP: an encoder of images and a causal one of texts, which were trained to agree. Source:
Radford et al. 2021; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.layers import layer_norm
from attnviz.models.build.outputs import read_labels
from attnviz.models.build.tensors import Tensors
from attnviz.models.build.two_towers import section, tower
from attnviz.models.build.vision_transformer import read_image_input
from attnviz.models.model import Model, Vision
from attnviz.models.tokenizers.readers import NoText
from attnviz.models.vision.preprocessor_config import read_preprocessor
from attnviz.nn.embedding import Embedding, PatchEmbedding
from attnviz.nn.linear import Linear
from attnviz.nn.masks import CAUSAL, NONE
from attnviz.nn.patches import GridPositions
from attnviz.nn.pooling import (
    Classifier,
    FirstOf,
    TextHead,
    mean_of_patches,
    token,
    unit_length,
)
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Transformer
from attnviz.nn.weights import rows

TOKENIZER = "CLIPTokenizer"
ACTIVATION, EPS = "quick_gelu", 1e-5

UNUSED = ("projection_dim", "initializer_range", "initializer_factor", "logit_scale_init_value")
"""What the shapes of tensors say, and first values."""


def build(checkpoint: Checkpoint) -> Model:
    """The tower for texts, with the one for images; the latter alone where there is no other."""
    tensors, config = checkpoint.tensors(""), checkpoint.config
    d_shared = config.count("projection_dim", 512)
    config.inert("initializer_factor", "logit_scale_init_value")
    texts, images = section(config, "text_config"), section(config, "vision_config")
    config.finish()
    if not tensors.has("text_model.embeddings.token_embedding.weight"):
        return _images(checkpoint, tensors, images)
    text = _text(tensors, texts, d_shared)
    scale = float(np.exp(tensors.take("logit_scale")))
    vision = _images(checkpoint, tensors, images)
    last = layer_norm(tensors, "vision_model.post_layernorm", images.count("hidden_size"),
                      images.above(0, "layer_norm_eps", EPS))  # fmt: skip
    projection = tensors.take("visual_projection.weight", d_shared, images.count("hidden_size"))
    return trained_model(
        checkpoint,
        tensors,
        text,
        {
            "n_layer": texts.count("num_hidden_layers"),
            "n_head": texts.count("num_attention_heads"),
            "d_model": texts.count("hidden_size"),
            "positions": f"learned, {texts.count('max_position_embeddings', 77)}",
            "reads": "texts; images in a tower of its own",
        },
        max_tokens=texts.count("max_position_embeddings", 77),
        n_vocabulary=texts.count("vocab_size", 49408),
        task="embed",
        vision=Vision(vision, Classifier(Linear(projection), partial(token, 0), last), scale),
    )


def _text(tensors: Tensors, config: Config, d_shared: int) -> Transformer:
    d, at = config.count("hidden_size"), "text_model"
    encoder = tower(tensors, config, at, EPS, ACTIVATION, CAUSAL)
    n_vocabulary = config.count("vocab_size", 49408)
    n_position = config.count("max_position_embeddings", 77)
    end = FirstOf(config.whole("eos_token_id", 49407))
    config.inert(*UNUSED)
    config.finish("clip")
    table = tensors.table(f"{at}.embeddings.token_embedding.weight", n_vocabulary, d)
    positions = tensors.take(f"{at}.embeddings.position_embedding.weight", n_position, d)
    last = layer_norm(tensors, f"{at}.final_layer_norm", d, config.above(0, "layer_norm_eps", EPS))
    projection = Linear(tensors.take("text_projection.weight", d_shared, d))
    return Transformer(
        encoder=encoder,
        source=Embedding(partial(rows, table), positions=LearnedPositions(positions)),
        unembed=TextHead((last, projection, unit_length), end),
    )


def _images(checkpoint: Checkpoint, tensors: Tensors, config: Config) -> Model:
    d, at = config.count("hidden_size"), "vision_model"
    encoder = tower(tensors, config, at, EPS, ACTIVATION, NONE)
    model_input = read_image_input(config, patch=32, processor="CLIP")
    config.inert(*UNUSED)
    config.finish("clip")
    patch, eps = model_input.patch, config.above(0, "layer_norm_eps", EPS)
    n_row, n_column = model_input.height // patch[0], model_input.width // patch[1]
    kernel = tensors.take(
        f"{at}.embeddings.patch_embedding.weight", d, model_input.n_channel, *patch
    )
    positions = tensors.take(f"{at}.embeddings.position_embedding.weight", 1 + n_row * n_column, d)
    source = PatchEmbedding(
        patches=Linear(kernel.reshape(d, -1)),
        first=tensors.take(f"{at}.embeddings.class_embedding", d)[None],
        positions=GridPositions(positions[1:].reshape(n_row, n_column, d)),
        patch=patch,
        norm=layer_norm(tensors, f"{at}.pre_layrnorm", d, eps),
        first_positions=positions[:1],
    )
    labels: tuple[str, ...] = ()
    unembed = None
    if tensors.has("classifier.weight"):
        labels = read_labels(checkpoint.config)
        weight = tensors.take("classifier.weight", len(labels), d)
        bias = tensors.take("classifier.bias", len(labels))
        unembed = Classifier(Linear(weight, bias), partial(mean_of_patches, 1))
    return trained_model(
        checkpoint,
        tensors,
        Transformer(encoder=encoder, source=source, unembed=unembed),
        {
            "n_layer": len(encoder.blocks),
            "n_head": config.count("num_attention_heads"),
            "d_model": d,
            "image": f"{model_input.width} × {model_input.height}",
            "positions": "learned",
            "patch": f"{patch[1]} × {patch[0]}",
        },
        ignored=r"vision_model\.post_layernorm\..+|visual_projection\.weight",
        tokenizer=NoText(),
        task="classify" if labels else "",
        labels=labels,
        image=read_preprocessor(model_input, checkpoint.preprocessor),
    )
