"""BLOOM."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary
from attnviz.models.gguf.layout import Change, side_by_side

AT = "transformer.h.{0}."
NAMES = {
    "token_embd": "transformer.word_embeddings",
    "token_embd_norm": "transformer.word_embeddings_layernorm",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
    "attn_norm": f"{AT}input_layernorm",
    "ffn_norm": f"{AT}post_attention_layernorm",
    "attn_qkv": f"{AT}self_attention.query_key_value",
    "attn_output": f"{AT}self_attention.dense",
    "ffn_up": f"{AT}mlp.dense_h_to_4h",
    "ffn_down": f"{AT}mlp.dense_4h_to_h",
}


def _config(fields: Config, file: TensorFile) -> Values:
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    fields.require("attention.head_count_kv", n_head)
    fields.require("feed_forward_length", 4 * d_model)
    return {
        "model_type": "bloom",
        "hidden_size": d_model,
        "n_layer": fields.count("block_count"),
        "n_head": n_head,
        "seq_length": fields.count("context_length"),
        "layer_norm_epsilon": fields.number("attention.layer_norm_epsilon"),
        **vocabulary(file),
    }


def _changes(values: Values) -> Mapping[str, Change]:
    n_head = values["n_head"]
    return {"attn_qkv": Change(order=partial(side_by_side, n_head, n_head))}


ARCHITECTURE = Architecture(_config, NAMES, _changes)
