"""What the readers of GGUF architectures share: names of tensors, and fields of the metadata.

Sources: llama.cpp, convert_hf_to_gguf.py (what is stored how) and src/llama-model.cpp (what
holds where the file does not say).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.layout import Change, halves
from attnviz.models.gguf.rope import rope_parameters

LAYER = "model.layers.{0}."
LLAMA_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": f"{LAYER}input_layernorm",
    "attn_q": f"{LAYER}self_attn.q_proj",
    "attn_k": f"{LAYER}self_attn.k_proj",
    "attn_v": f"{LAYER}self_attn.v_proj",
    "attn_q_norm": f"{LAYER}self_attn.q_norm",
    "attn_k_norm": f"{LAYER}self_attn.k_norm",
    "attn_output": f"{LAYER}self_attn.o_proj",
    "ffn_norm": f"{LAYER}post_attention_layernorm",
    "ffn_gate": f"{LAYER}mlp.gate_proj",
    "ffn_up": f"{LAYER}mlp.up_proj",
    "ffn_down": f"{LAYER}mlp.down_proj",
}
MIXTURE_NAMES = LLAMA_NAMES | {
    "ffn_gate_inp": f"{LAYER}mlp.gate",
    "ffn_gate_exps": f"{LAYER}mlp.experts.{{1}}.gate_proj",
    "ffn_up_exps": f"{LAYER}mlp.experts.{{1}}.up_proj",
    "ffn_down_exps": f"{LAYER}mlp.experts.{{1}}.down_proj",
}

Values = dict[str, Any]


class Architecture(NamedTuple):
    """How the files of one `general.architecture` are read."""

    config: Callable[[Config, TensorFile], Values]
    """The fields of the metadata -> a config in Hugging Face's fields."""
    names: Mapping[str, str] | Callable[[Values], Mapping[str, str]]
    """The file's names of tensors -> Hugging Face's, as `Renamed` takes them; they may depend on
    that config."""
    changes: Callable[[Values], Mapping[str, Change]] = lambda values: {}
    """That config -> what the converter did to tensors, by the file's names."""
    is_causal: bool = True
    """Whether a query sees only what came before, where the file does not say."""
    joined: Callable[[TensorFile], TensorFile] = lambda file: file
    """The file with whole those tensors that the converter stored as several."""


def llama_like(
    fields: Config,
    file: TensorFile,
    model_type: str,
    *,
    partial: bool = False,
    eps: str = "rms_norm_eps",
) -> Values:
    """What all Llama-like models say.

    Args:
        partial: allows that not all features are rotated.
        eps: what the config of the family calls it; of a layer norm if it is not `rms_norm_eps`.
    """
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    d_head = fields.count("attention.key_length", max(1, d_model // n_head))
    fields.require("attention.value_length", d_head)
    if d_head % 2:
        raise fields.error(f"heads of {d_head} features, an odd number, cannot be rotated in pairs")
    rope = rope_parameters(fields, file)
    if partial:
        rope["partial_rotary_factor"] = fields.count("rope.dimension_count", d_head) / d_head
    else:
        fields.require("rope.dimension_count", d_head)
    norm = "layer_norm_rms_epsilon" if eps == "rms_norm_eps" else "layer_norm_epsilon"
    return {
        "model_type": model_type,
        "hidden_size": d_model,
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": n_head,
        "num_key_value_heads": fields.count("attention.head_count_kv", n_head),
        "head_dim": d_head,
        eps: fields.number(f"attention.{norm}"),
        "max_position_embeddings": fields.count("context_length"),
        "rope_parameters": rope,
        **vocabulary(file),
    }


def vocabulary(file: TensorFile) -> Values:
    shape = file.shapes.get("token_embd.weight", (1,))
    return {"vocab_size": shape[0], "tie_word_embeddings": "output.weight" not in file.shapes}


def biases(file: TensorFile, attention: str = "attention_bias", mlp: str = "") -> Values:
    """Whether projections and feed-forward nets have one: only the tensors say so."""
    found = {attention: "blk.0.attn_q.bias" in file.shapes}
    return found | ({mlp: "blk.0.ffn_up.bias" in file.shapes} if mlp else {})


def layer_types(fields: Config, n_layer: int, window: int, every: int) -> list[str]:
    """Of every `every` layers the last sees everything, the others slide; or as a list says.
    A window of 0 is none."""
    key = "attention.sliding_window_pattern"
    if isinstance(fields.get(key, every), list):
        slides = fields.get(key)
    else:
        every = fields.count(key, every)
        slides = [layer % every < every - 1 for layer in range(n_layer)]
    return ["sliding_attention" if s and window else "full_attention" for s in slides]


def mixture(fields: Config, values: Values, width: str = "expert_feed_forward_length") -> Values:
    """How many experts there are, and how wide each is."""
    return values | {
        "num_experts": fields.count("expert_count"),
        "num_experts_per_tok": fields.count("expert_used_count"),
        "moe_intermediate_size": fields.count(width, values["intermediate_size"]),
    }


def unpermuted(values: Values) -> Mapping[str, Change]:
    """Queries and keys as the converter's `LlamaModel` lays them out: features that make a pair
    stand side by side."""
    n_head, n_kv_head = values["num_attention_heads"], values["num_key_value_heads"]
    return {
        "attn_q": Change(order=partial(halves, n_head)),
        "attn_k": Change(order=partial(halves, n_kv_head)),
    }
