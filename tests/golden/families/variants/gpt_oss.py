from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

SIZES = {
    **DECODER,
    **GROUPED,
    "rms_norm_eps": EPS,
    "hidden_size": 16,
    "head_dim": 10,
    "intermediate_size": 7,
    "num_local_experts": 5,
    "num_experts_per_tok": 3,
    "sliding_window": 4,
    "swiglu_limit": 0.7,
    "swiglu_alpha": 1.3,
    "eos_token_id": None,
    "pad_token_id": None,
}

VARIANTS = {
    "gpt_oss": Variant(
        "GptOssForCausalLM",
        {
            **SIZES,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 150000.0,
                "factor": 8.0,
                "beta_fast": 2.0,
                "beta_slow": 0.1,
                "truncate": False,
                "original_max_position_embeddings": 5,
            },
        },
    ),
    "gpt_oss-plain": Variant(
        "GptOssForCausalLM",
        {
            **SIZES,
            "num_key_value_heads": 4,
            "attention_bias": False,
            "layer_types": ["full_attention", "sliding_attention"],
            "rope_parameters": {"rope_type": "linear", "rope_theta": 700.0, "factor": 2.0},
        },
    ),
}
