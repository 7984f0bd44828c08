"""StableLM."""

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

NAMES = LLAMA_NAMES | {
    "attn_q_norm": f"{LAYER}self_attn.q_layernorm.norms.{{1}}",
    "attn_k_norm": f"{LAYER}self_attn.k_layernorm.norms.{{1}}",
}


def _config(fields: Config, file: TensorFile) -> Values:
    """As llama.cpp, this goes by the norms that are there: files may say otherwise."""
    fields.inert("use_parallel_residual")
    return {
        **llama_like(fields, file, "stablelm", partial=True, eps="layer_norm_eps"),
        **biases(file, "use_qkv_bias"),
        "qk_layernorm": "blk.0.attn_q_norm.weight" in file.shapes,
        "use_parallel_residual": "blk.0.ffn_norm.weight" not in file.shapes,
    }


ARCHITECTURE = Architecture(_config, NAMES)
