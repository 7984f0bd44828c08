from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "qwen3": Variant(
        "Qwen3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "tie_word_embeddings": True,
        },
    ),
    "qwen3-window": Variant(
        "Qwen3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "attention_bias": True,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
        },
    ),
}
