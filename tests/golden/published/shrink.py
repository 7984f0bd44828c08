"""A published config -> the same model, so small that it can be made here: only sizes change."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

Config = dict[str, Any]

SIZES: Mapping[str, int] = {
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32,
    "intermediate_size": 29, "d_ff": 29, "ffn_dim": 29, "hidden_dim": 29,
    "n_inner": 29,
    "encoder_ffn_dim": 29, "decoder_ffn_dim": 31,
    "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2, "num_decoder_layers": 2,
    "encoder_layers": 2, "decoder_layers": 2,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "head_dim": 10, "d_kv": 6,
    "vocab_size": 53, "decoder_vocab_size": 53,
    "n_positions": 40, "n_ctx": 40,
    "max_source_positions": 11, "max_target_positions": 40, "num_mel_bins": 7,
    "sliding_window": 6, "window_size": 6, "local_attention": 8, "position_buckets": 8, "max_window_layers": 1,
    "rotary_dim": 4, "n_embed": 32, "max_seq_len": 40,
    "patch_size": 4, "image_size": 8,
    "moe_intermediate_size": 11, "shared_expert_intermediate_size": 13,
    "num_experts": 6, "num_local_experts": 6, "n_routed_experts": 16, "num_experts_per_tok": 2,
    "experts_per_token": 2, "first_k_dense_replace": 1, "q_lora_rank": 11, "kv_lora_rank": 12,
    "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 5,
}  # fmt: skip

LENGTH, ORIGINAL, ROBERTA_ROWS = 40, 12, 2


def shrunk(config: Mapping[str, Any]) -> Config:
    """Sizes that were equal stay equal, those that differed differ."""
    small: Config = {**config, **{key: SIZES[key] for key in SIZES if config.get(key) is not None}}
    if config.get("num_key_value_heads") is not None:
        n_head, n_shared = config["num_attention_heads"], config["num_key_value_heads"]
        small["num_key_value_heads"] = {n_head: 4, 1: 1}.get(n_shared, 2)
    for key in ("embedding_size", "word_embed_proj_dim"):
        if key in config:
            small[key] = SIZES["hidden_size"] if config[key] == config["hidden_size"] else 13
    if "max_position_embeddings" in config:
        extra = ROBERTA_ROWS if config["max_position_embeddings"] == 514 else 0
        small["max_position_embeddings"] = LENGTH + extra
    for key in ("layer_types", "no_rope_layers"):
        if config.get(key):
            small[key] = config[key][-2:]
    if config.get("attention_types"):
        small["attention_layers"] = config["attention_layers"][:2]
        small["attention_types"] = [[config["attention_layers"][:2], 1]]
    if config.get("partial_rotary_factor") == 0.4:  # an even number of the 8 features of a head
        small["partial_rotary_factor"] = 0.5
    if config.get("sliding_window_pattern"):
        small["sliding_window_pattern"] = 2
    if config.get("original_max_position_embeddings"):
        is_long = config["max_position_embeddings"] > config["original_max_position_embeddings"]
        small["original_max_position_embeddings"] = ORIGINAL if is_long else LENGTH
    if config.get("rope_scaling"):
        n_pair = 3 if "partial_rotary_factor" in config else 4  # of the 8 features of a head
        small["rope_scaling"] = _rope(config["rope_scaling"], n_pair)
    for key in small:
        if key.endswith("_token_id") and isinstance(small[key], int):
            small[key] = min(small[key], SIZES["vocab_size"] - 1)
    for key in ("text_config", "vision_config"):
        if isinstance(config.get(key), dict):
            small[key] = shrunk(config[key])
    if "out_indices" in config:
        small |= {"out_features": ["stage2"], "out_indices": [2]}
        small["stage_names"] = ["stem", "stage1", "stage2"]
    return small


def _rope(scaling: Mapping[str, Any], n_pair: int) -> Config:
    small = dict(scaling)
    if "original_max_position_embeddings" in small:
        small["original_max_position_embeddings"] = ORIGINAL
    for key in ("long_factor", "short_factor"):
        if key in small:
            small[key] = small[key][:n_pair]
    return small


def weights(shapes: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """Random tensors of these shapes, the same each time."""
    return {name: _random(name, tuple(shape)) for name, shape in shapes.items()}


def _random(name: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) <= 1:
        is_gain = name.endswith("weight") and "gemma" not in name
        noise = 0.2 * noise + is_gain
    elif "embed" in name or "wte" in name or "wpe" in name or "shared" in name:
        noise *= 0.5
    else:
        noise *= 1.3 / max(shape[0], shape[1]) ** 0.5
    return np.asarray(noise, np.float32)


def inputs(config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What each is run on: ids [n] and, of an encoder-decoder, target [n]; or pixels [3, 8, 8], or a
    sound [n_mel, n_frame] in place of the ids."""
    if "image_size" in config:
        return {"pixels": np.random.default_rng(3).standard_normal((3, 8, 8)).astype(np.float32)}
    target = np.array([2, 14, 6, 39, 21])
    if "num_mel_bins" in config:
        shape = config["num_mel_bins"], 2 * config["max_source_positions"]
        sound = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
        return {"sound": sound, "target": target}
    ids = np.array([5, 17, 9, 30, 11, 41, 8, 23, 50, 7, 12, 33, 28])
    if config.get("is_encoder_decoder") and "T5EncoderModel" not in config["architectures"]:
        return {"ids": ids, "target": target}
    return {"ids": ids}
