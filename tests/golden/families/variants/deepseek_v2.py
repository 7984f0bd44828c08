from __future__ import annotations

from .shared import DECODER, EPS, Variant

SIZES = {
    **DECODER,
    "rms_norm_eps": EPS,
    "hidden_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 29,
    "moe_intermediate_size": 7,
    "n_routed_experts": 6,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.7,
    "kv_lora_rank": 12,
    "q_lora_rank": 11,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 5,
    "bos_token_id": None,
    "eos_token_id": None,
}

YARN = {
    "rope_type": "yarn",
    "rope_theta": 300.0,
    "factor": 8.0,
    "beta_fast": 2.0,
    "beta_slow": 0.1,
    "mscale": 1.0,
    "mscale_all_dim": 0.7,
    "original_max_position_embeddings": 5,
}

VARIANTS = {
    "deepseek_v2": Variant(
        "DeepseekV2ForCausalLM",
        {
            **SIZES,
            "topk_method": "group_limited_greedy",
            "n_group": 3,
            "topk_group": 2,
            "rope_parameters": YARN,
        },
    ),
    "deepseek_v2-lite": Variant(
        "DeepseekV2ForCausalLM",
        {
            **SIZES,
            "q_lora_rank": None,
            "attention_bias": True,
            "mlp_bias": True,
            "hidden_act": "gelu",
        },
    ),
}
