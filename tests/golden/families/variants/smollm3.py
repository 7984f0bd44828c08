from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "smollm3": Variant(
        "SmolLM3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "num_hidden_layers": 4,
            "hidden_size": 24,
            "intermediate_size": 29,
            "pad_token_id": 0,
        },
    ),
    "smollm3-window": Variant(
        "SmolLM3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "hidden_size": 18,
            "intermediate_size": 23,
            "pad_token_id": 0,
            "attention_bias": True,
            "mlp_bias": True,
            "no_rope_layers": [0, 1],
            "use_sliding_window": True,
            "sliding_window": 4,
            "tie_word_embeddings": False,
        },
    ),
}
