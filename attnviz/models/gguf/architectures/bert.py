"""BERT; and RoBERTa, XLM-RoBERTa and CamemBERT, whose files name this architecture: without the
first rows of their tables of positions, they are the same."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary

AT = "encoder.layer.{0}."
NAMES = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "attn_q": f"{AT}attention.self.query",
    "attn_k": f"{AT}attention.self.key",
    "attn_v": f"{AT}attention.self.value",
    "attn_output": f"{AT}attention.output.dense",
    "attn_output_norm": f"{AT}attention.output.LayerNorm",
    "ffn_up": f"{AT}intermediate.dense",
    "ffn_down": f"{AT}output.dense",
    "layer_output_norm": f"{AT}output.LayerNorm",
    "cls": "classifier.dense",
    "cls.output": "classifier.out_proj",
}


def _config(fields: Config, file: TensorFile) -> Values:
    fields.inert("context_length")  # the table of positions says it
    shapes = file.shapes
    classifies = any(name.startswith("cls.") for name in shapes)
    return {
        "model_type": "bert",
        "architectures": [] if classifies else ["BertModel"],
        "hidden_size": fields.count("embedding_length"),
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": fields.count("attention.head_count"),
        "max_position_embeddings": shapes.get("position_embd.weight", (1,))[0],
        "type_vocab_size": shapes.get("token_types.weight", (0,))[0],
        "layer_norm_eps": fields.number("attention.layer_norm_epsilon"),
        "vocab_size": vocabulary(file)["vocab_size"],
        "hidden_act": "gelu",  # files do not say
    }


ARCHITECTURE = Architecture(_config, NAMES, is_causal=False)
