"""Falcon 7B, 40B and 11B, which llama.cpp computes as one architecture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary
from attnviz.models.gguf.layout import Change, side_by_side
from attnviz.models.gguf.rope import whole_rope

AT = "transformer.h.{0}."
SHARED = {
    "token_embd": "transformer.word_embeddings",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
    "attn_qkv": f"{AT}self_attention.query_key_value",
    "attn_output": f"{AT}self_attention.dense",
    "ffn_up": f"{AT}mlp.dense_h_to_4h",
    "ffn_down": f"{AT}mlp.dense_4h_to_h",
}


def _names(values: Values) -> Mapping[str, str]:
    if values["num_ln_in_parallel_attn"] == 1:
        return SHARED | {"attn_norm": f"{AT}input_layernorm"}
    return SHARED | {"attn_norm": f"{AT}ln_mlp", "attn_norm_2": f"{AT}ln_attn"}


def _config(fields: Config, file: TensorFile) -> Values:
    """Heads of one group are laid out as in the old architecture too."""
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    d_ff = file.shapes.get("blk.0.ffn_up.weight", (1,))[0]
    fields.inert("feed_forward_length")  # the converter writes 4·d_model whatever it is
    return {
        "model_type": "falcon",
        "new_decoder_architecture": True,
        "num_ln_in_parallel_attn": 2 if "blk.0.attn_norm_2.weight" in file.shapes else 1,
        "hidden_size": d_model,
        "ffn_hidden_size": d_ff,
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": n_head,
        "num_kv_heads": fields.count("attention.head_count_kv", n_head),
        "max_position_embeddings": fields.count("context_length"),
        "layer_norm_epsilon": fields.number("attention.layer_norm_epsilon"),
        "rope_parameters": whole_rope(fields, file, d_model // n_head),
        **vocabulary(file),
    }


def _changes(values: Values) -> Mapping[str, Change]:
    n_head, n_kv_head = values["num_attention_heads"], values["num_kv_heads"]
    return {"attn_qkv": Change(order=partial(side_by_side, n_head, n_kv_head))}


ARCHITECTURE = Architecture(_config, _names, _changes)
