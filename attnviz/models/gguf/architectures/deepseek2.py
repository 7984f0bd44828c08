"""DeepSeek-V2, V3 and R1. Newer files hold what leads from the latent to keys, transposed, and to
values apart (`attn_k_b`, `attn_v_b`), older ones together (`attn_kv_b`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import Rows, TensorFile
from attnviz.models.gguf.architecture import (
    LAYER,
    MIXTURE_NAMES,
    Architecture,
    Values,
    mixture,
    vocabulary,
)
from attnviz.models.gguf.rope import rope_parameters
from attnviz.nn.types import Array

SIGMOID = 2
"""`expert_gating_func` of V3; V2's is a softmax, and its first files do not say so."""

ATTENTION = f"{LAYER}self_attn."
NAMES = MIXTURE_NAMES | {
    "attn_q_a": f"{ATTENTION}q_a_proj",
    "attn_q_a_norm": f"{ATTENTION}q_a_layernorm",
    "attn_q_b": f"{ATTENTION}q_b_proj",
    "attn_kv_a_mqa": f"{ATTENTION}kv_a_proj_with_mqa",
    "attn_kv_a_norm": f"{ATTENTION}kv_a_layernorm",
    "attn_kv_b": f"{ATTENTION}kv_b_proj",
    "exp_probs_b": f"{LAYER}mlp.gate.e_score_correction_bias.",
    "ffn_gate_shexp": f"{LAYER}mlp.shared_experts.gate_proj",
    "ffn_up_shexp": f"{LAYER}mlp.shared_experts.up_proj",
    "ffn_down_shexp": f"{LAYER}mlp.shared_experts.down_proj",
}
KEYS, VALUES, BOTH = "attn_k_b.weight", "attn_v_b.weight", "attn_kv_b.weight"


class Joined:
    """A file whose keys and values are made of the latent by one matrix."""

    def __init__(self, file: TensorFile) -> None:
        self.path = file.path
        self.n_byte = file.n_byte
        self.sha256 = file.sha256
        self._file = file
        shapes = dict(file.shapes)
        for stored in [name for name in shapes if name.endswith(KEYS)]:
            at = stored.removesuffix(KEYS)
            keys, values = shapes.get(at + KEYS, ()), shapes.get(at + VALUES, ())
            if len(keys) == len(values) == 3 and (keys[0], keys[1]) == (values[0], values[2]):
                del shapes[at + KEYS], shapes[at + VALUES]
                shapes[at + BOTH] = (keys[0] * (keys[2] + values[1]), keys[1])
        self.shapes: Mapping[str, tuple[int, ...]] = shapes

    def copies(self, name: str) -> bool:
        return name not in self._file.shapes or self._file.copies(name)

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor or some of its rows; of each head, keys stand before values."""
        if name in self._file.shapes:
            return self._file.read(name, rows)
        at = name.removesuffix(BOTH)
        keys, values = self._file.read(at + KEYS), self._file.read(at + VALUES)
        both = np.concatenate([keys.swapaxes(1, 2), values], axis=1)  # [n_head, d_k + d_v, latent]
        matrix = both.reshape(-1, both.shape[-1])
        return matrix if rows is None else matrix[rows]


def _config(fields: Config, file: TensorFile) -> Values:
    n_head, d_rotary = fields.count("attention.head_count"), fields.count("rope.dimension_count")
    d_key, d_value = _widths(fields)
    if d_key <= d_rotary:
        raise fields.error(f"keys of {d_key} features, of which {d_rotary} are rotated")
    has_query = "blk.0.attn_q_a.weight" in file.shapes
    values = {
        "hidden_size": fields.count("embedding_length"),
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": n_head,
        "num_key_value_heads": n_head,
        "head_dim": d_rotary,
        "qk_rope_head_dim": d_rotary,
        "qk_nope_head_dim": d_key - d_rotary,
        "v_head_dim": d_value,
        "kv_lora_rank": fields.count("attention.kv_lora_rank"),
        "q_lora_rank": fields.count("attention.q_lora_rank") if has_query else None,
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": fields.count("context_length"),
        "rope_parameters": _rope(fields, file),
        "first_k_dense_replace": fields.whole("leading_dense_block_count"),
        "n_shared_experts": fields.count("expert_shared_count"),
        "norm_topk_prob": fields.switch("expert_weights_norm"),
        "routed_scaling_factor": fields.number("expert_weights_scale", 0.0) or 1.0,
        **vocabulary(file),
    }
    return mixture(fields, values) | _choice(fields)


def _widths(fields: Config) -> tuple[int, int]:
    """Of a head's keys and values; newer files say besides how wide they are in the latent."""
    fields.inert("attention.head_count_kv")
    ending = "_mla" if fields.has("attention.key_length_mla") else ""
    if ending:
        fields.inert("attention.key_length", "attention.value_length")
    d_key, d_value = (fields.count(f"attention.{part}_length{ending}") for part in ("key", "value"))
    return d_key, d_value


def _rope(fields: Config, file: TensorFile) -> Values:
    """YaRN's gain is all in the scores."""
    rope = rope_parameters(fields, file)
    gain = 10 * fields.number("rope.scaling.yarn_log_multiplier", 0.0)
    if gain and rope["rope_type"] == "yarn":
        rope |= {"mscale": gain, "mscale_all_dim": gain}
    return rope


def _choice(fields: Config) -> Values:
    """How experts are chosen: from all where the file knows no groups."""
    n_group = fields.count("expert_group_count", 1)
    groups = {"n_group": n_group, "topk_group": fields.count("expert_group_used_count", n_group)}
    if fields.choice("expert_gating_func", 0, 1, SIGMOID) == SIGMOID:
        return {"model_type": "deepseek_v3", **groups}
    if n_group == 1:
        return {"model_type": "deepseek_v2"}
    return {"model_type": "deepseek_v2", "topk_method": "group_limited_greedy", **groups}


ARCHITECTURE = Architecture(_config, NAMES, joined=Joined)
