from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "stablelm": Variant(
        "StableLmForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
            "hidden_size": 24,
            "intermediate_size": 29,
            "use_qkv_bias": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 300.0,
                "partial_rotary_factor": 0.5,
            },
        },
    ),
    "stablelm-parallel": Variant(
        "StableLmForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 32,
            "intermediate_size": 29,
            "qk_layernorm": True,
            "use_parallel_residual": True,
            "tie_word_embeddings": True,
        },
    ),
}
