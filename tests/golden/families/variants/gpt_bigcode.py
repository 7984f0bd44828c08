from __future__ import annotations

from .shared import EPS, Variant

SIZES = {"vocab_size": 47, "n_positions": 37, "n_layer": 2, "layer_norm_epsilon": EPS}

VARIANTS = {
    "gpt_bigcode": Variant(  # as SantaCoder
        "GPTBigCodeForCausalLM",
        {**SIZES, "n_embd": 20, "n_head": 4, "n_inner": 29, "multi_query": True},
    ),
    "gpt_bigcode-heads": Variant(
        "GPTBigCodeForCausalLM",
        {
            **SIZES,
            "n_layer": 1,
            "n_embd": 24,
            "n_head": 4,
            "multi_query": False,
            "scale_attn_weights": False,
            "activation_function": "relu",
            "tie_word_embeddings": False,
        },
        sharpness=0.6,
    ),
}
