from __future__ import annotations

from .shared import DECODER, GROUPED, Variant

VARIANTS = {
    "olmo": Variant(
        "OlmoForCausalLM",
        {**DECODER, **GROUPED, "hidden_size": 24, "intermediate_size": 29, "clip_qkv": None},
    ),
    "olmo-clipped": Variant(
        "OlmoForCausalLM",
        {
            **DECODER,
            "num_attention_heads": 4,
            "hidden_size": 24,
            "intermediate_size": 29,
            "attention_bias": True,
            "clip_qkv": 0.7,
            "tie_word_embeddings": True,
        },
        sharpness=2.6,
    ),
}
