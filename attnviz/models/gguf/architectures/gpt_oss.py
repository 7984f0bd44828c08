"""gpt-oss."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    LAYER,
    MIXTURE_NAMES,
    Architecture,
    Values,
    biases,
    layer_types,
    llama_like,
    mixture,
)

NAMES = MIXTURE_NAMES | {
    "attn_sinks": f"{LAYER}self_attn.sinks.",
    "post_attention_norm": f"{LAYER}post_attention_layernorm",
    "ffn_gate_inp": f"{LAYER}mlp.router",
}


def _config(fields: Config, file: TensorFile) -> Values:
    """Of a rotation that is scaled, files do not say that no frequency is rounded to a pair."""
    values = mixture(fields, llama_like(fields, file, "gpt_oss"))
    values["intermediate_size"] = values.pop("moe_intermediate_size")
    rope = values["rope_parameters"]
    if rope["rope_type"] == "yarn":
        rope["truncate"] = False
    window = fields.count("attention.sliding_window")
    return values | {
        **biases(file),
        "sliding_window": window,
        "layer_types": layer_types(fields, values["num_hidden_layers"], window, every=2),
    }


ARCHITECTURE = Architecture(_config, NAMES)
