"""StarCoder 2. Files do not hold its window, of 4096 keys in the published models."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    LAYER,
    LLAMA_NAMES,
    Architecture,
    Values,
    biases,
    llama_like,
)

NAMES = LLAMA_NAMES | {"ffn_up": f"{LAYER}mlp.c_fc", "ffn_down": f"{LAYER}mlp.c_proj"}


def _config(fields: Config, file: TensorFile) -> Values:
    return {
        **llama_like(fields, file, "starcoder2", eps="norm_epsilon"),
        **biases(file, "use_bias"),
    }


ARCHITECTURE = Architecture(_config, NAMES)
