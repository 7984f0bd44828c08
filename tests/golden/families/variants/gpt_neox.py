from __future__ import annotations

from .shared import DECODER, EPS, Variant

VARIANTS = {
    "gpt_neox": Variant(
        "GPTNeoXForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            "hidden_size": 24,
            "num_attention_heads": 3,
            "intermediate_size": 29,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.75,
            },
        },
    ),
    "gpt_neox-serial": Variant(
        "GPTNeoXForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            "hidden_size": 24,
            "num_attention_heads": 3,
            "intermediate_size": 29,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 300.0,
                "partial_rotary_factor": 1.0,
            },
            "use_parallel_residual": False,
            "hidden_act": "gelu_new",
        },
    ),
}
