"""Hugging Face's checkpoints as GGUF files, laid out as llama.cpp's convert_hf_to_gguf.py does.

Names of tensors and fields are those of the gguf package, not of what is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import MODEL_ARCH, GGUFWriter, RopeScalingType

Config = Mapping[str, Any]
Tensors = Mapping[str, np.ndarray]

ARCHITECTURES = {
    "llama": MODEL_ARCH.LLAMA,
    "mistral": MODEL_ARCH.LLAMA,
    "mixtral": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
    "qwen3": MODEL_ARCH.QWEN3,
    "qwen2_moe": MODEL_ARCH.QWEN2MOE,
    "qwen3_moe": MODEL_ARCH.QWEN3MOE,
    "olmoe": MODEL_ARCH.OLMOE,
    "gpt_oss": MODEL_ARCH.GPT_OSS,
    "deepseek_v2": MODEL_ARCH.DEEPSEEK2,
    "deepseek_v3": MODEL_ARCH.DEEPSEEK2,
    "olmo2": MODEL_ARCH.OLMO2,
    "olmo3": MODEL_ARCH.OLMO2,
    "cohere": MODEL_ARCH.COMMAND_R,
    "cohere2": MODEL_ARCH.COHERE2,
    "granite": MODEL_ARCH.GRANITE,
    "stablelm": MODEL_ARCH.STABLELM,
    "starcoder2": MODEL_ARCH.STARCODER2,
    "smollm3": MODEL_ARCH.SMOLLM3,
    "gemma": MODEL_ARCH.GEMMA,
    "gemma2": MODEL_ARCH.GEMMA2,
    "gemma3_text": MODEL_ARCH.GEMMA3,
    "phi": MODEL_ARCH.PHI2,
    "phi3": MODEL_ARCH.PHI3,
    "gpt2": MODEL_ARCH.GPT2,
    "gpt_neox": MODEL_ARCH.GPTNEOX,
    "bert": MODEL_ARCH.BERT,
    "roberta": MODEL_ARCH.BERT,
    "xlm-roberta": MODEL_ARCH.BERT,
    "camembert": MODEL_ARCH.BERT,
    "distilbert": MODEL_ARCH.BERT,
    "nomic_bert": MODEL_ARCH.NOMIC_BERT,
    "modernbert": MODEL_ARCH.MODERN_BERT,
    "bloom": MODEL_ARCH.BLOOM,
    "falcon": MODEL_ARCH.FALCON,
    "mpt": MODEL_ARCH.MPT,
    "t5": MODEL_ARCH.T5,
    "mt5": MODEL_ARCH.T5,
    "umt5": MODEL_ARCH.T5,
}
CLASSES = {
    "T5EncoderModel": MODEL_ARCH.T5ENCODER,
    "Gemma3TextModel": MODEL_ARCH.GEMMA_EMBEDDING,
}
"""Classes that have an architecture of their own."""

ROBERTAS = ("roberta", "xlm-roberta", "camembert")
ENCODERS = ("bert", "distilbert", *ROBERTAS, "nomic_bert", "modernbert")
BODIES = ("embeddings.", "emb_ln.", "encoder.", "layers.", "transformer.", "final_norm.")
"""How the names of an encoder's tensors begin that are not of its output."""
PERMUTED = ("llama", "mistral", "mixtral", "granite", "smollm3")
"""Families whose converter is a LlamaModel."""


def convert(
    config: Config, tensors: Tensors, path: Path, added: Mapping[str, Any] | None = None
) -> Path:
    """A GGUF file in float32, without a tokenizer; `added` is metadata that goes over the other, or
    takes it out with None."""
    family = config["model_type"]
    architecture = CLASSES.get(config["architectures"][0], ARCHITECTURES[family])
    writer = GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    n_layer = _first(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    assert n_layer is not None
    writer.add_block_count(n_layer)
    _sizes(writer, config)
    _rope(writer, config)
    if family in OWN:
        OWN[family](writer, config)
    names = gguf.get_tensor_name_map(
        architecture, max(n_layer, config.get("num_decoder_layers", 0))
    )
    for name, array in _stored(config, tensors):
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert stored, name
        writer.add_tensor(stored, np.ascontiguousarray(_laid_out(config, name, array)))
    for key, value in (added or {}).items():
        if value is None:
            del writer.kv_data[0][key]
            continue
        kind = gguf.GGUFValueType.get_type(value)
        kind = gguf.GGUFValueType.UINT32 if kind == gguf.GGUFValueType.INT32 else kind
        writer.kv_data[0][key] = gguf.GGUFValue(value, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _first(config: Config, *keys: str) -> Any:
    """The value of the first of the fields that is there."""
    return next((config[key] for key in keys if config.get(key) is not None), None)


def _sizes(writer: GGUFWriter, config: Config) -> None:
    """As `TextModel.set_gguf_parameters`."""
    written: dict[Callable[[Any], None], tuple[str, ...]] = {
        writer.add_context_length: ("max_position_embeddings", "n_positions", "max_seq_len"),
        writer.add_embedding_length: ("hidden_size", "n_embd", "d_model", "dim"),
        writer.add_feed_forward_length: ("intermediate_size", "n_inner", "d_ff", "hidden_dim"),
        writer.add_head_count: ("num_attention_heads", "n_head", "n_heads", "num_heads"),
        writer.add_head_count_kv: ("num_key_value_heads", "num_kv_heads"),
        writer.add_layer_norm_rms_eps: ("rms_norm_eps",),
        writer.add_layer_norm_eps: (
            "layer_norm_eps",
            "layer_norm_epsilon",
            "norm_epsilon",
            "norm_eps",
        ),
        writer.add_expert_count: ("num_local_experts", "num_experts"),
        writer.add_expert_used_count: ("num_experts_per_tok",),
        writer.add_key_length: () if config["model_type"] == "nomic_bert" else ("head_dim",),
        writer.add_value_length: () if config["model_type"] == "nomic_bert" else ("head_dim",),
        writer.add_logit_scale: ("logit_scale", "logits_scaling"),
    }
    for add, keys in written.items():
        if (value := _first(config, *keys)) is not None:
            add(value)
    if config["model_type"] in ("mistral", "mixtral", "phi3", "gemma2", "gemma3_text", "olmo3",
                                "cohere2", "gpt_oss") and config.get("sliding_window"):  # fmt: skip
        writer.add_sliding_window(config["sliding_window"])
    if config.get("is_causal") is False:
        writer.add_causal_attention(False)


def _gpt2(writer: GGUFWriter, config: Config) -> None:
    writer.add_feed_forward_length(config["n_inner"] or 4 * config["n_embd"])


def _gpt_neox(writer: GGUFWriter, config: Config) -> None:
    writer.add_parallel_residual(config["use_parallel_residual"])


def _gemma2(writer: GGUFWriter, config: Config) -> None:
    writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    writer.add_final_logit_softcapping(config["final_logit_softcapping"])


def _pattern(writer: GGUFWriter, config: Config) -> None:
    slides = [kind == "sliding_attention" for kind in config["layer_types"]]
    writer.add_sliding_window_pattern(slides)
    if config.get("use_bidirectional_attention"):
        writer.add_causal_attention(False)


def _granite(writer: GGUFWriter, config: Config) -> None:
    writer.add_attention_scale(config["attention_multiplier"])
    writer.add_embedding_scale(config["embedding_multiplier"])
    writer.add_residual_scale(config["residual_multiplier"])


def _moe(writer: GGUFWriter, config: Config) -> None:
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if "shared_expert_intermediate_size" in config:
        width = config["shared_expert_intermediate_size"]
        writer.add_expert_shared_feed_forward_length(width)


def _four_times(writer: GGUFWriter, config: Config) -> None:
    d_model = _first(config, "hidden_size", "d_model")
    writer.add_feed_forward_length(4 * d_model)
    if config["model_type"] == "falcon":
        writer.add_tensor_data_layout("jploski")
        writer.add_context_length(2048)
        n_kv_head = config["num_kv_heads"] if config["new_decoder_architecture"] else 1
        writer.add_head_count_kv(n_kv_head)
    elif config["model_type"] == "bloom":
        writer.add_context_length(config.get("seq_length", d_model))
        writer.add_head_count_kv(config["n_head"])
    else:
        writer.add_max_alibi_bias(8.0)
        if (limit := config["attn_config"].get("clip_qkv")) is not None:
            writer.add_clamp_kqv(limit)


def _bert(writer: GGUFWriter, config: Config) -> None:
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    if config["model_type"] == "distilbert":
        writer.add_layer_norm_eps(1e-12)
    if config["model_type"] == "modernbert":
        writer.add_sliding_window(config["local_attention"])
        writer.add_sliding_window_pattern(3)
        writer.add_rope_scaling_type(RopeScalingType.NONE)
        writer.add_vocab_size(config["vocab_size"])
    elif config["model_type"] in ROBERTAS:
        n_position = config["max_position_embeddings"] - config["pad_token_id"] - 1
        writer.add_context_length(n_position)


def _t5(writer: GGUFWriter, config: Config) -> None:
    writer.add_context_length(512)
    writer.add_decoder_block_count(config["num_decoder_layers"])
    writer.add_key_length(config["d_kv"])
    writer.add_value_length(config["d_kv"])
    writer.add_layer_norm_rms_eps(config["layer_norm_epsilon"])
    writer.add_relative_attn_buckets_count(config["relative_attention_num_buckets"])
    writer.add_decoder_start_token_id(config.get("decoder_start_token_id") or 0)


def _gpt_oss(writer: GGUFWriter, config: Config) -> None:
    writer.add_expert_feed_forward_length(config["intermediate_size"])


def _deepseek(writer: GGUFWriter, config: Config) -> None:
    n_latent, d_rotary = config["kv_lora_rank"], config["qk_rope_head_dim"]
    writer.add_head_count_kv(1)
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    if config["q_lora_rank"] is not None:
        writer.add_q_lora_rank(config["q_lora_rank"])
    writer.add_kv_lora_rank(n_latent)
    writer.add_key_length(n_latent + d_rotary)
    writer.add_value_length(n_latent)
    writer.add_key_length_mla(config["qk_nope_head_dim"] + d_rotary)
    writer.add_value_length_mla(config["v_head_dim"])
    writer.add_expert_count(config["n_routed_experts"])
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    is_sigmoid = config["model_type"] == "deepseek_v3"
    writer.add_expert_weights_norm(config["norm_topk_prob"] if is_sigmoid else False)
    kinds = gguf.ExpertGatingFuncType
    writer.add_expert_gating_func(kinds.SIGMOID if is_sigmoid else kinds.SOFTMAX)
    if config.get("n_group"):
        writer.add_expert_group_count(config["n_group"])
        writer.add_expert_group_used_count(config["topk_group"])
    writer.add_rope_dimension_count(d_rotary)
    if "mscale_all_dim" in config["rope_parameters"]:
        writer.add_rope_scaling_yarn_log_mul(0.1 * config["rope_parameters"]["mscale_all_dim"])


def _stablelm(writer: GGUFWriter, config: Config) -> None:
    writer.add_parallel_residual(True)  # what the converter says where a config does not


OWN: dict[str, Callable[[GGUFWriter, Config], None]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "gemma2": _gemma2,
    "gemma3_text": _pattern,
    "olmo3": _pattern,
    "cohere2": _pattern,
    "granite": _granite,
    "qwen2_moe": _moe,
    "qwen3_moe": _moe,
    "gpt_oss": _gpt_oss,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "stablelm": _stablelm,
    **dict.fromkeys(ENCODERS, _bert),
    **dict.fromkeys(("bloom", "falcon", "mpt"), _four_times),
    **dict.fromkeys(("t5", "mt5", "umt5"), _t5),
}
"""What the converter of a family writes besides."""


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


def _stored(config: Config, tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors that the converter writes; of experts, and of norms of single heads, one for
    all."""
    family = config["model_type"]
    numbered: dict[str, dict[int, np.ndarray]] = {}
    for name, array in tensors.items():
        if family in ENCODERS:
            for prefix in ("nomic_bert.", "distilbert.", "bert.", "roberta.", "model."):
                name = name.removeprefix(prefix)
            if not name.startswith(BODIES):
                continue
        if family == "gpt_oss" and name.endswith("sinks"):
            name += ".weight"
        if name.endswith("kv_b_proj.weight"):
            yield from _keys_and_values(config, name, array)
            continue
        name = name.replace("e_score_correction_bias", "e_score_correction.bias")
        if "mlp.experts.gate_up_proj" in name or "mlp.experts.down_proj" in name:
            yield from _experts(name, array)
            continue
        if family == "bloom":
            name = name.removeprefix("transformer.")
        if name == "lm_head.weight" and "gemma" in family:
            continue
        before, dot, rest = name.partition(".experts." if ".experts." in name else ".norms.")
        if not dot:
            yield name, array
        else:
            number, _, ending = rest.partition(".")
            whole = f"{before}{dot}" if dot == ".experts." else f"{before}."
            numbered.setdefault(whole + ending, {})[int(number)] = array
    for name, entries in numbered.items():
        yield name, np.stack([entries[number] for number in sorted(entries)])


def _keys_and_values(
    config: Config, name: str, array: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """What DeepSeek makes of its latent: keys transposed, and values."""
    heads = array.reshape(config["num_attention_heads"], -1, array.shape[-1])
    keys, values = np.split(heads, [config["qk_nope_head_dim"]], axis=1)
    yield name.replace("kv_b_proj", "k_b_proj"), keys.swapaxes(1, 2)
    yield name.replace("kv_b_proj", "v_b_proj"), values


def _experts(name: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Those of gpt-oss, [n_expert, d_in, d_out]: gate and up take turns."""
    at, _, part = name.rpartition(".")
    ending = "bias" if part.endswith("_bias") else "weight"
    turned = array.swapaxes(1, 2) if ending == "weight" else array
    if part.startswith("down"):
        yield f"{at}.down_proj.{ending}", turned
    else:
        yield f"{at}.gate_proj.{ending}", turned[:, ::2]
        yield f"{at}.up_proj.{ending}", turned[:, 1::2]


def _laid_out(config: Config, name: str, array: np.ndarray) -> np.ndarray:
    """A tensor as the converter stores it."""
    family = config["model_type"]
    if family in PERMUTED:
        for part, n in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part in name:
                n_head = config[n]
                cut = array.reshape(n_head, 2, len(array) // n_head // 2, *array.shape[1:])
                return cut.swapaxes(1, 2).reshape(array.shape)
    if family.startswith("gemma") and name.endswith("norm.weight"):
        return array + 1
    if family == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return array.T
    if family in ROBERTAS and "position_embeddings" in name:
        return array[config["pad_token_id"] + 1 :]
    if "query_key_value" in name:
        n_head = _first(config, "num_attention_heads", "n_head")
        n_group = n_head
        if family == "falcon":
            n_group = config["num_kv_heads"] if config["new_decoder_architecture"] else 1
        cut = array.reshape(n_group, n_head // n_group + 2, -1, *array.shape[1:])
        parts = cut[:, :-2], cut[:, -2], cut[:, -1]
        d_head = cut.shape[2]
        flat = [part.reshape(-1, d_head, *array.shape[1:]) for part in parts]
        return np.concatenate(flat).reshape(array.shape)
    return array.squeeze() if "shared_expert_gate" in name else array
