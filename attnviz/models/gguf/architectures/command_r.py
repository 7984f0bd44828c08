"""Command R, and Aya."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import LLAMA_NAMES, Architecture, Values, biases, llama_like


def _config(fields: Config, file: TensorFile) -> Values:
    return {
        **llama_like(fields, file, "cohere", eps="layer_norm_eps"),
        **biases(file),
        "logit_scale": fields.number("logit_scale"),
        "use_qk_norm": "blk.0.attn_q_norm.weight" in file.shapes,
    }


ARCHITECTURE = Architecture(_config, LLAMA_NAMES)
