from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "gemma2": Variant(
        "Gemma2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "query_pre_attn_scalar": 7,
            "sliding_window": 4,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
}
