from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

SIZES = {
    **DECODER,
    **GROUPED,
    "rms_norm_eps": EPS,
    "hidden_size": 16,
    "intermediate_size": 13,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
}

VARIANTS = {
    "mixtral": Variant("MixtralForCausalLM", {**SIZES, "head_dim": 6}),
    "mixtral-window": Variant(
        "MixtralForCausalLM", {**SIZES, "sliding_window": 4, "hidden_act": "gelu"}
    ),
}
