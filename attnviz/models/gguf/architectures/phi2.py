"""Phi-1, Phi-1.5 and Phi-2."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import LAYER, LLAMA_NAMES, Architecture, Values, llama_like

NAMES = LLAMA_NAMES | {
    "output_norm": "model.final_layernorm",
    "attn_output": f"{LAYER}self_attn.dense",
    "ffn_up": f"{LAYER}mlp.fc1",
    "ffn_down": f"{LAYER}mlp.fc2",
}


def _config(fields: Config, file: TensorFile) -> Values:
    return llama_like(fields, file, "phi", partial=True, eps="layer_norm_eps")


ARCHITECTURE = Architecture(_config, NAMES)
