from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "gemma": Variant(
        "GemmaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
        },
    ),
    "gemma-bias": Variant(  # one key/value head, as Gemma 2B has it
        "GemmaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "hidden_size": 14,
            "head_dim": 6,
            "intermediate_size": 23,
            "hidden_act": "silu",
            "attention_bias": True,
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 300.0},
        },
    ),
}
