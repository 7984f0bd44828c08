from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "gemma3_text": Variant(
        "Gemma3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "num_hidden_layers": 3,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 23,
            "query_pre_attn_scalar": 7,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
                "full_attention": {"rope_type": "linear", "factor": 2.5, "rope_theta": 3000.0},
            },
        },
    ),
    "gemma3_text-both-sides": Variant(  # as EmbeddingGemma
        "Gemma3TextModel",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 23,
            "query_pre_attn_scalar": 7,
            "sliding_window": 7,
            "layer_types": ["sliding_attention", "full_attention"],
            "use_bidirectional_attention": True,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
                "full_attention": {"rope_type": "default", "rope_theta": 3000.0},
            },
        },
    ),
}
