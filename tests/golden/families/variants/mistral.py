from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "mistral-yarn": Variant(  # its factor follows from the lengths
        "MistralForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 20,
            "head_dim": 6,
            "intermediate_size": 29,
            "sliding_window": None,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 30.0,
                "factor": None,
                "beta_fast": 1.0,
                "beta_slow": 0.1,
                "original_max_position_embeddings": 12,
            },
        },
    ),
    "mistral": Variant(
        "MistralForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 20,
            "head_dim": 6,
            "intermediate_size": 29,
            "sliding_window": 5,
        },
    ),
}
