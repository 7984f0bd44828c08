"""Nomic BERT."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary
from attnviz.models.gguf.rope import whole_rope

AT = "encoder.layers.{0}."
NAMES = {
    "token_embd": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "emb_ln",
    "attn_qkv": f"{AT}attn.Wqkv",
    "attn_output": f"{AT}attn.out_proj",
    "attn_output_norm": f"{AT}norm1",
    "ffn_up": f"{AT}mlp.fc11",
    "ffn_gate": f"{AT}mlp.fc12",
    "ffn_down": f"{AT}mlp.fc2",
    "layer_output_norm": f"{AT}norm2",
}


def _config(fields: Config, file: TensorFile) -> Values:
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    return {
        "model_type": "nomic_bert",
        "architectures": ["NomicBertModel"],
        "hidden_size": d_model,
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": n_head,
        "max_position_embeddings": fields.count("context_length"),
        "type_vocab_size": file.shapes.get("token_types.weight", (0,))[0],
        "layer_norm_eps": fields.number("attention.layer_norm_epsilon"),
        "rope_parameters": whole_rope(fields, file, d_model // n_head),
        "hidden_act": "silu",
        **vocabulary(file),
    }


ARCHITECTURE = Architecture(_config, NAMES, is_causal=False)
