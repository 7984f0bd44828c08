"""Phi-3, Phi-3.5 and Phi-4."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import LAYER, LLAMA_NAMES, Architecture, Values, llama_like

NAMES = LLAMA_NAMES | {
    "attn_qkv": f"{LAYER}self_attn.qkv_proj",
    "ffn_up": f"{LAYER}mlp.gate_up_proj",
}


def _config(fields: Config, file: TensorFile) -> Values:
    values = llama_like(fields, file, "phi3", partial=True)
    window = fields.whole("attention.sliding_window")
    return values | ({"sliding_window": window} if window else {})


ARCHITECTURE = Architecture(_config, NAMES)
