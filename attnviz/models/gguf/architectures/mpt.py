"""MPT."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary

AT = "transformer.blocks.{0}."
NAMES = {
    "token_embd": "transformer.wte",
    "output_norm": "transformer.norm_f",
    "output": "lm_head",
    "attn_norm": f"{AT}norm_1",
    "attn_qkv": f"{AT}attn.Wqkv",
    "attn_output": f"{AT}attn.out_proj",
    "ffn_norm": f"{AT}norm_2",
    "ffn_up": f"{AT}ffn.up_proj",
    "ffn_down": f"{AT}ffn.down_proj",
}


def _config(fields: Config, file: TensorFile) -> Values:
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    fields.require("attention.head_count_kv", n_head)
    fields.require("feed_forward_length", 4 * d_model)
    slope, limit = fields.number("attention.max_alibi_bias", 0.0), "attention.clamp_kqv"
    attention = {"alibi": slope > 0, **({"alibi_bias_max": slope} if slope else {})}
    return {
        "model_type": "mpt",
        "d_model": d_model,
        "n_layers": fields.count("block_count"),
        "n_heads": n_head,
        "max_seq_len": fields.count("context_length"),
        "layer_norm_epsilon": fields.number("attention.layer_norm_epsilon"),
        "attn_config": attention
        | ({"clip_qkv": fields.number(limit)} if fields.has(limit) else {}),
        **vocabulary(file),
    }


ARCHITECTURE = Architecture(_config, NAMES)
