"""Command R7B and A."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    LLAMA_NAMES,
    Architecture,
    Values,
    biases,
    layer_types,
    llama_like,
)


def _config(fields: Config, file: TensorFile) -> Values:
    values = llama_like(fields, file, "cohere2", eps="layer_norm_eps")
    window = fields.count("attention.sliding_window")
    return {
        **values,
        **biases(file),
        "logit_scale": fields.number("logit_scale"),
        "sliding_window": window,
        "layer_types": layer_types(fields, values["num_hidden_layers"], window, every=4),
    }


ARCHITECTURE = Architecture(_config, LLAMA_NAMES)
