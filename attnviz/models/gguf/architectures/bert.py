"""BERT, and others whose files name this architecture: RoBERTa, XLM-RoBERTa and CamemBERT, which
are the same without the first rows of their tables of positions, and DistilBERT."""

from __future__ import annotations

from collections.abc import Mapping

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


DISTIL_AT = "transformer.layer.{0}."
DISTIL_NAMES = NAMES | {
    "attn_q": f"{DISTIL_AT}attention.q_lin",
    "attn_k": f"{DISTIL_AT}attention.k_lin",
    "attn_v": f"{DISTIL_AT}attention.v_lin",
    "attn_output": f"{DISTIL_AT}attention.out_lin",
    "attn_output_norm": f"{DISTIL_AT}sa_layer_norm",
    "ffn_up": f"{DISTIL_AT}ffn.lin1",
    "ffn_down": f"{DISTIL_AT}ffn.lin2",
    "layer_output_norm": f"{DISTIL_AT}output_layer_norm",
}


def _names(values: Values) -> Mapping[str, str]:
    return DISTIL_NAMES if values["model_type"] == "distilbert" else NAMES


def _config(fields: Config, file: TensorFile) -> Values:
    fields.inert("context_length")  # the table of positions says it
    shapes = file.shapes
    classifies = any(name.startswith("cls.") for name in shapes)
    if "token_types.weight" not in shapes:
        return _distilbert(fields, file)
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


def _distilbert(fields: Config, file: TensorFile) -> Values:
    eps = fields.number("attention.layer_norm_epsilon")
    if abs(eps - 1e-12) > 1e-15:
        raise fields.error(f"attention.layer_norm_epsilon = {eps:g}, but DistilBERT's is 1e-12")
    return {
        "model_type": "distilbert",
        "architectures": ["DistilBertModel"],
        "dim": fields.count("embedding_length"),
        "hidden_dim": fields.count("feed_forward_length"),
        "n_layers": fields.count("block_count"),
        "n_heads": fields.count("attention.head_count"),
        "max_position_embeddings": file.shapes.get("position_embd.weight", (1,))[0],
        "vocab_size": vocabulary(file)["vocab_size"],
        "activation": "gelu",  # files do not say
    }


ARCHITECTURE = Architecture(_config, _names, is_causal=False)
