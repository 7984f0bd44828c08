from __future__ import annotations

from .shared import EPS, Variant

SIZES = {"vocab_size": 47, "layer_norm_epsilon": EPS}

VARIANTS = {
    "bloom": Variant(  # a number of heads that is no power of two
        "BloomForCausalLM",
        {**SIZES, "hidden_size": 15, "n_head": 3, "n_layer": 2},
    ),
    "bloom-norms": Variant(  # residuals from behind the norms
        "BloomForCausalLM",
        {
            **SIZES,
            "hidden_size": 28,
            "n_head": 7,
            "n_layer": 2,
            "apply_residual_connection_post_layernorm": True,
            "tie_word_embeddings": False,
        },
    ),
}
