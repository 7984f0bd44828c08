"""DeiT: a ViT with a second token, which learned from a teacher. Source: Touvron et al. 2021;
tensor names as in Hugging Face's checkpoints. DeiTs without that token are of the family `vit`."""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.vit import blocks
from attnviz.models.build.layers import activation
from attnviz.models.build.vision_transformer import patch_embedding, read_sizes, vision_model
from attnviz.models.model import Model
from attnviz.nn.pooling import token

IGNORED = r"(deit\.)?(embeddings\.mask_token|pooler\..*)|decoder\..*"
"""Tensors that no attention, no hidden state and no class depends on."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("deit."), checkpoint.config
    sizes = read_sizes(
        config, eps=1e-12, patch=16, processor="DeiT", resizes=False, first=("[CLS]", "[DIST]")
    )
    d_ff, act = config.count("intermediate_size"), activation(config, "hidden_act", "gelu")
    config.inert("encoder_stride")
    config.finish()
    heads = {"cls_classifier": partial(token, 0), "distillation_classifier": partial(token, 1)}
    if tensors.has("classifier.weight"):
        heads = {"classifier": partial(token, 0)}
    embedding = patch_embedding(tensors, sizes, tokens=("cls_token", "distillation_token"))
    return vision_model(
        checkpoint,
        tensors,
        sizes,
        embedding,
        blocks(tensors, sizes, d_ff, act),
        heads,
        sizes.d_model,
        IGNORED,
    )
