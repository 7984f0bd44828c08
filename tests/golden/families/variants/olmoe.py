from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

SIZES = {
    **DECODER,
    **GROUPED,
    "rms_norm_eps": EPS,
    "hidden_size": 24,
    "intermediate_size": 7,
    "num_experts": 5,
    "num_experts_per_tok": 3,
    "pad_token_id": None,
    "eos_token_id": None,
}

VARIANTS = {
    "olmoe": Variant("OlmoeForCausalLM", SIZES),
    "olmoe-bias": Variant(
        "OlmoeForCausalLM",
        {**SIZES, "num_key_value_heads": 4, "attention_bias": True, "norm_topk_prob": True},
    ),
}
