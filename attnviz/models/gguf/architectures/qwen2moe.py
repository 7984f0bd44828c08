"""Qwen1.5-MoE and Qwen2-MoE."""

from __future__ import annotations

from collections.abc import Mapping

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    LAYER,
    MIXTURE_NAMES,
    Architecture,
    Values,
    llama_like,
    mixture,
)
from attnviz.models.gguf.layout import Change

NAMES = MIXTURE_NAMES | {
    "ffn_gate_inp_shexp": f"{LAYER}mlp.shared_expert_gate",
    "ffn_gate_shexp": f"{LAYER}mlp.shared_expert.gate_proj",
    "ffn_up_shexp": f"{LAYER}mlp.shared_expert.up_proj",
    "ffn_down_shexp": f"{LAYER}mlp.shared_expert.down_proj",
}


def _config(fields: Config, file: TensorFile) -> Values:
    values = mixture(fields, llama_like(fields, file, "qwen2_moe"))
    width, _ = file.shapes.get("blk.0.ffn_up_shexp.weight", (0, 0))
    key = "expert_shared_feed_forward_length"
    return values | {"shared_expert_intermediate_size": fields.count(key, width)}


def _changes(values: Values) -> Mapping[str, Change]:
    return {"ffn_gate_inp_shexp": Change(is_row=True)}


ARCHITECTURE = Architecture(_config, NAMES, _changes)
