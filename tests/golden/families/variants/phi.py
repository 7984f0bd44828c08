from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "phi": Variant(
        "PhiForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            "hidden_size": 24,
            "num_attention_heads": 3,
            "intermediate_size": 29,
        },
    ),
    "phi-norms": Variant(  # of queries and keys
        "PhiForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 40,
            "intermediate_size": 23,
            "hidden_act": "gelu",
            "qk_layernorm": True,
            "rope_parameters": {
                "rope_type": "linear",
                "factor": 2.5,
                "rope_theta": 300.0,
                "partial_rotary_factor": 0.4,
            },
        },
    ),
}
