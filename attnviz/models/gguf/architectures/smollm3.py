"""SmolLM3: every fourth layer is not rotated."""

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
    return llama_like(fields, file, "smollm3") | biases(file, mlp="mlp_bias")


ARCHITECTURE = Architecture(_config, LLAMA_NAMES, unpermuted)
