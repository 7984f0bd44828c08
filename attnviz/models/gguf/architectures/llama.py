"""Llama, and Mistral and Mixtral, whose files name this architecture."""

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
    mixture,
    unpermuted,
)

NAMES = LLAMA_NAMES | {
    "ffn_gate_inp": f"{LAYER}block_sparse_moe.gate",
    "ffn_gate_exps": f"{LAYER}block_sparse_moe.experts.{{1}}.w1",
    "ffn_down_exps": f"{LAYER}block_sparse_moe.experts.{{1}}.w2",
    "ffn_up_exps": f"{LAYER}block_sparse_moe.experts.{{1}}.w3",
}


def _config(fields: Config, file: TensorFile) -> Values:
    window, n_expert = fields.whole("attention.sliding_window"), fields.whole("expert_count")
    if n_expert:
        values = mixture(fields, llama_like(fields, file, "mixtral"))
        del values["moe_intermediate_size"]  # it is the layers'
    else:
        values = llama_like(fields, file, "mistral" if window else "llama")
    if window:
        return values | {"sliding_window": window}
    return values if n_expert else values | biases(file, mlp="mlp_bias")


ARCHITECTURE = Architecture(_config, NAMES, unpermuted)
