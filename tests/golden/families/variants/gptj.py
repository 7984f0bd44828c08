from __future__ import annotations

from .shared import EPS, Variant

SIZES = {"vocab_size": 47, "n_positions": 37, "layer_norm_epsilon": EPS}

VARIANTS = {
    "gptj": Variant(
        "GPTJForCausalLM",
        {**SIZES, "n_embd": 24, "n_head": 3, "n_layer": 2, "rotary_dim": 6},
    ),
    "gptj-tied": Variant(  # every feature of a head rotates
        "GPTJForCausalLM",
        {
            **SIZES,
            "n_embd": 20,
            "n_head": 5,
            "n_layer": 1,
            "rotary_dim": 4,
            "n_inner": 29,
            "activation_function": "silu",
            "tie_word_embeddings": True,
        },
    ),
}
