"""GPT-2."""

from __future__ import annotations

from collections.abc import Mapping

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary
from attnviz.models.gguf.layout import Change

NAMES = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
    "attn_norm": "transformer.h.{0}.ln_1",
    "attn_qkv": "transformer.h.{0}.attn.c_attn",
    "attn_output": "transformer.h.{0}.attn.c_proj",
    "ffn_norm": "transformer.h.{0}.ln_2",
    "ffn_up": "transformer.h.{0}.mlp.c_fc",
    "ffn_down": "transformer.h.{0}.mlp.c_proj",
}


def _config(fields: Config, file: TensorFile) -> Values:
    return {
        "model_type": "gpt2",
        "n_embd": fields.count("embedding_length"),
        "n_inner": fields.count("feed_forward_length"),
        "n_layer": fields.count("block_count"),
        "n_head": fields.count("attention.head_count"),
        "n_positions": fields.count("context_length"),
        "layer_norm_epsilon": fields.number("attention.layer_norm_epsilon"),
        "activation_function": "gelu_new",
        **vocabulary(file),
    }


def _changes(values: Values) -> Mapping[str, Change]:
    matrices = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
    return dict.fromkeys(matrices, Change(transposed=True))


ARCHITECTURE = Architecture(_config, NAMES, _changes)
