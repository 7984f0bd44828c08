"""Hugging Face's checkpoints as GGUF files, laid out as llama.cpp's convert_hf_to_gguf.py does.

Names of tensors and fields are those of the gguf package, not of what is tested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGUFWriter, RopeScalingType

Tensors = Mapping[str, np.ndarray]

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox": gguf.MODEL_ARCH.GPTNEOX,
}


def convert(
    config: Mapping[str, Any], tensors: Tensors, path: Path, added: Mapping[str, Any] | None = None
) -> Path:
    """A GGUF file in float32, without a tokenizer; `added` is metadata that goes over the other."""
    family = config["model_type"]
    architecture = ARCHITECTURES[family]
    writer = GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    n_layer = config.get("num_hidden_layers") or config["n_layer"]
    _sizes(writer, config, n_layer)
    _rope(writer, config)
    names = gguf.get_tensor_name_map(architecture, n_layer)
    for name, array in tensors.items():
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert stored, name
        writer.add_tensor(stored, np.ascontiguousarray(_laid_out(config, name, array)))
    for key, value in (added or {}).items():
        kind = gguf.GGUFValueType.get_type(value)
        kind = gguf.GGUFValueType.UINT32 if kind == gguf.GGUFValueType.INT32 else kind
        writer.kv_data[0][key] = gguf.GGUFValue(value, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _sizes(writer: GGUFWriter, config: Mapping[str, Any], n_layer: int) -> None:
    family = config["model_type"]
    writer.add_block_count(n_layer)
    if family == "gpt2":
        writer.add_context_length(config["n_positions"])
        writer.add_embedding_length(config["n_embd"])
        writer.add_feed_forward_length(config["n_inner"] or 4 * config["n_embd"])
        writer.add_head_count(config["n_head"])
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    n_head = config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(n_head)
    if family == "gpt_neox":
        writer.add_layer_norm_eps(config["layer_norm_eps"])
        writer.add_parallel_residual(config["use_parallel_residual"])
    else:
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if family != "qwen2" and config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if family == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if family == "gemma3_text":
        kinds = config["layer_types"]
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in kinds])


def _rope(writer: GGUFWriter, config: Mapping[str, Any]) -> None:
    rope = config.get("rope_parameters")
    if rope is None:
        return
    if "full_attention" in rope:
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    d_head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    n_turning = int(d_head * rope.get("partial_rotary_factor", 1.0))
    writer.add_rope_dimension_count(n_turning)
    writer.add_rope_freq_base(rope["rope_theta"])
    kind = rope["rope_type"]
    if kind == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope.get("beta_fast", 32.0))
        writer.add_rope_scaling_yarn_beta_slow(rope.get("beta_slow", 1.0))
    if kind == "longrope":
        original = config["original_max_position_embeddings"]
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        for length in ("long", "short"):
            factors = np.array(rope[f"{length}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", factors)
    if kind == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_factors(rope, n_turning))


def _llama3_factors(rope: Mapping[str, Any], n_turning: int) -> np.ndarray:
    original = rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    factors = []
    for pair in range(0, n_turning, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (pair / n_turning)
        if wave < original / high:
            factors.append(1.0)
        elif wave > original / low:
            factors.append(rope["factor"])
        else:
            smooth = (original / wave - low) / (high - low)
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)


def _laid_out(config: Mapping[str, Any], name: str, array: np.ndarray) -> np.ndarray:
    """A tensor as the converter stores it."""
    family = config["model_type"]
    if family in ("llama", "mistral"):
        for part, n in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part in name:
                n_head = config[n]
                cut = array.reshape(n_head, 2, len(array) // n_head // 2, *array.shape[1:])
                return cut.swapaxes(1, 2).reshape(array.shape)
    if family.startswith("gemma") and name.endswith("norm.weight"):
        return array + 1
    if family == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return array.T
    if "query_key_value" in name:
        n_head = config["num_attention_heads"]
        cut = array.reshape(n_head, 3, len(array) // n_head // 3, *array.shape[1:])
        return np.concatenate([cut[:, part].reshape(-1, *array.shape[1:]) for part in range(3)])
    return array
