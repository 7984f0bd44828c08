from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

SIZES = {
    **DECODER,
    **GROUPED,
    "rms_norm_eps": EPS,
    "hidden_size": 16,
    "intermediate_size": 29,
    "moe_intermediate_size": 7,
    "num_experts": 5,
    "num_experts_per_tok": 2,
}

VARIANTS = {
    "qwen2_moe": Variant("Qwen2MoeForCausalLM", {**SIZES, "shared_expert_intermediate_size": 11}),
    "qwen2_moe-window": Variant(
        "Qwen2MoeForCausalLM",
        {
            **SIZES,
            "num_hidden_layers": 3,
            "shared_expert_intermediate_size": 11,
            "norm_topk_prob": True,
            "mlp_only_layers": [1],
            "qkv_bias": False,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 2,
        },
    ),
}
