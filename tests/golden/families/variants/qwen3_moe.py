from __future__ import annotations

from .qwen2_moe import SIZES
from .shared import Variant

VARIANTS = {
    "qwen3_moe": Variant("Qwen3MoeForCausalLM", {**SIZES, "head_dim": 10, "norm_topk_prob": True}),
    "qwen3_moe-window": Variant(
        "Qwen3MoeForCausalLM",
        {
            **SIZES,
            "num_hidden_layers": 3,
            "head_dim": 6,
            "attention_bias": True,
            "decoder_sparse_step": 2,
            "use_sliding_window": True,
            "sliding_window": 4,
        },
    ),
}
