from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "phi3": Variant(
        "Phi3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "sliding_window": 5,
            "pad_token_id": 0,
        },
    ),
    "phi3-long": Variant(
        "Phi3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "hidden_size": 24,
            "intermediate_size": 29,
            "pad_token_id": 0,
            "max_position_embeddings": 40,
            "original_max_position_embeddings": 12,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 500.0,
                "partial_rotary_factor": 0.75,
                "short_factor": [1.0, 1.3, 1.7],
                "long_factor": [1.1, 2.3, 3.9],
                "original_max_position_embeddings": 12,
            },
        },
        tokens={"single": 12, "long": 13},  # where the long factors begin
    ),
}
