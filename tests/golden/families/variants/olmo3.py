from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "olmo3": Variant(
        "Olmo3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "num_hidden_layers": 4,
            "hidden_size": 16,
            "head_dim": 6,
            "intermediate_size": 23,
            "pad_token_id": 0,
            "sliding_window": 5,
            "max_position_embeddings": 48,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 500000.0},
                "full_attention": {
                    "rope_type": "yarn",
                    "rope_theta": 500000.0,
                    "factor": 4.0,
                    "beta_fast": 1.0,
                    "beta_slow": 0.1,
                    "original_max_position_embeddings": 12,
                },
            },
        },
    ),
}
