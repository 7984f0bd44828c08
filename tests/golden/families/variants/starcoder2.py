from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "starcoder2": Variant(
        "Starcoder2ForCausalLM",
        {
            **DECODER,
            "norm_epsilon": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "sliding_window": 5,
        },
    ),
    "starcoder2-plain": Variant(
        "Starcoder2ForCausalLM",
        {
            **DECODER,
            "norm_epsilon": EPS,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "hidden_size": 18,
            "intermediate_size": 23,
            "use_bias": False,
            "hidden_act": "gelu",
            "tie_word_embeddings": False,
        },
    ),
}
