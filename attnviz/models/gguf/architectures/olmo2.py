"""OLMo 2, and OLMo 3, whose files name this architecture and have a window."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    LAYER,
    LLAMA_NAMES,
    Architecture,
    Values,
    biases,
    layer_types,
    llama_like,
)

NAMES = LLAMA_NAMES | {
    "post_attention_norm": f"{LAYER}post_attention_layernorm",
    "post_ffw_norm": f"{LAYER}post_feedforward_layernorm",
}


def _config(fields: Config, file: TensorFile) -> Values:
    window = fields.whole("attention.sliding_window")
    if not window:
        return llama_like(fields, file, "olmo2") | biases(file)
    values = llama_like(fields, file, "olmo3") | biases(file)
    full = values["rope_parameters"]
    base = fields.number("rope.freq_base_swa", full["rope_theta"])
    sliding = {"rope_type": "default", "rope_theta": base}
    return values | {
        "rope_parameters": {"full_attention": full, "sliding_attention": sliding},
        "sliding_window": window,
        "layer_types": layer_types(fields, values["num_hidden_layers"], window, every=4),
    }


ARCHITECTURE = Architecture(_config, NAMES)
