"""Granite."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    LLAMA_NAMES,
    Architecture,
    Values,
    biases,
    llama_like,
    unpermuted,
)


def _config(fields: Config, file: TensorFile) -> Values:
    """A factor of 0 is none, as llama.cpp reads it."""
    values = llama_like(fields, file, "granite")
    fields.require("rope.scaling.finetuned", True)  # else llama.cpp rotates nothing
    scale = fields.number("attention.scale", 0.0) or values["head_dim"] ** -0.5
    return {
        **values,
        **biases(file, mlp="mlp_bias"),
        "attention_multiplier": scale,
        "embedding_multiplier": fields.number("embedding_scale", 0.0) or 1.0,
        "residual_multiplier": fields.number("residual_scale", 0.0) or 1.0,
        "logits_scaling": fields.number("logit_scale"),
    }


ARCHITECTURE = Architecture(_config, LLAMA_NAMES, unpermuted)
