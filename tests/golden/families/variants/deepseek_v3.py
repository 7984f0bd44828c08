from __future__ import annotations

from .deepseek_v2 import SIZES, YARN
from .shared import Variant

VARIANTS = {
    "deepseek_v3": Variant(
        "DeepseekV3ForCausalLM",
        {**SIZES, "n_group": 3, "topk_group": 2, "rope_parameters": YARN},
    ),
    "deepseek_v3-half": Variant(
        "DeepseekV3ForCausalLM",
        {
            **SIZES,
            "q_lora_rank": None,
            "n_group": 1,
            "topk_group": 1,
            "attention_bias": True,
            "norm_topk_prob": False,
            "rope_interleave": False,
        },
    ),
}
