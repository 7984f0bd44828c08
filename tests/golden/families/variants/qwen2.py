from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "qwen2": Variant(
        "Qwen2ForCausalLM",
        {**DECODER, "rms_norm_eps": EPS, **GROUPED, "hidden_size": 24, "intermediate_size": 29},
    ),
    "qwen2-window": Variant(
        "Qwen2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
            "tie_word_embeddings": True,
        },
    ),
    "qwen2-both-sides": Variant(  # as gte-Qwen2; and llama3's scaling without its length
        "Qwen2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "is_causal": False,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 300.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
            },
        },
    ),
}
