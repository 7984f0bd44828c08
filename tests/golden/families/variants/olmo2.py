from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "olmo2": Variant(
        "Olmo2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "pad_token_id": 0,
            "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
        },
    ),
    "olmo2-bias": Variant(
        "Olmo2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "num_attention_heads": 3,
            "hidden_size": 18,
            "intermediate_size": 23,
            "pad_token_id": 0,
            "attention_bias": True,
            "tie_word_embeddings": True,
        },
    ),
}
