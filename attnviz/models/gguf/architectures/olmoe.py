"""OLMoE."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    MIXTURE_NAMES,
    Architecture,
    Values,
    llama_like,
    mixture,
)


def _config(fields: Config, file: TensorFile) -> Values:
    values = mixture(fields, llama_like(fields, file, "olmoe"), "feed_forward_length")
    del values["moe_intermediate_size"]  # it is the layers'
    return values


ARCHITECTURE = Architecture(_config, MIXTURE_NAMES)
