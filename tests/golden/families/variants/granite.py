from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "granite": Variant(
        "GraniteForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "attention_multiplier": 0.6,
            "embedding_multiplier": 1.7,
            "residual_multiplier": 0.4,
            "logits_scaling": 3.0,
            "tie_word_embeddings": True,
        },
    ),
    "granite-bias": Variant(
        "GraniteForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "num_attention_heads": 3,
            "hidden_size": 18,
            "intermediate_size": 23,
            "attention_bias": True,
            "mlp_bias": True,
            "attention_multiplier": 0.3,
            "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 300.0},
        },
    ),
}
