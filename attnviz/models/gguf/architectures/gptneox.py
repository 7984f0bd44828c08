"""GPT-NeoX and Pythia."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary
from attnviz.models.gguf.layout import Change, side_by_side
from attnviz.models.gguf.rope import rope_parameters

NAMES = {
    "token_embd": "gpt_neox.embed_in",
    "output_norm": "gpt_neox.final_layer_norm",
    "output": "embed_out",
    "attn_norm": "gpt_neox.layers.{0}.input_layernorm",
    "attn_qkv": "gpt_neox.layers.{0}.attention.query_key_value",
    "attn_output": "gpt_neox.layers.{0}.attention.dense",
    "ffn_norm": "gpt_neox.layers.{0}.post_attention_layernorm",
    "ffn_up": "gpt_neox.layers.{0}.mlp.dense_h_to_4h",
    "ffn_down": "gpt_neox.layers.{0}.mlp.dense_4h_to_h",
}


def _config(fields: Config, file: TensorFile) -> Values:
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    d_head = max(1, d_model // n_head)
    fraction = fields.count("rope.dimension_count", d_head) / d_head
    return {
        "model_type": "gpt_neox",
        "hidden_size": d_model,
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": n_head,
        "max_position_embeddings": fields.count("context_length"),
        "layer_norm_eps": fields.number("attention.layer_norm_epsilon"),
        "use_parallel_residual": fields.switch("use_parallel_residual", True),
        "rope_parameters": rope_parameters(fields, file) | {"partial_rotary_factor": fraction},
        "hidden_act": "gelu",  # Pythia's; files do not say
        **vocabulary(file),
    }


def _changes(values: Values) -> Mapping[str, Change]:
    n_head = values["num_attention_heads"]
    return {"attn_qkv": Change(order=partial(side_by_side, n_head, n_head))}


ARCHITECTURE = Architecture(_config, NAMES, _changes)
