from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "cohere2": Variant(
        "Cohere2ForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            **GROUPED,
            "num_hidden_layers": 4,
            "hidden_size": 24,
            "intermediate_size": 29,
            "logit_scale": 0.3,
            "sliding_window": 5,
            "eos_token_id": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
        },
    ),
    "cohere2-bias": Variant(
        "Cohere2ForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            "num_attention_heads": 3,
            "hidden_size": 18,
            "intermediate_size": 23,
            "attention_bias": True,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
            "eos_token_id": 2,
        },
    ),
}
