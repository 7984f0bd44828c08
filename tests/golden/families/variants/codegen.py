from __future__ import annotations

from .shared import EPS, Variant

SIZES = {"vocab_size": 47, "n_positions": 37, "layer_norm_epsilon": EPS}

VARIANTS = {
    "codegen": Variant(
        "CodeGenForCausalLM",
        {**SIZES, "n_embd": 24, "n_head": 4, "n_layer": 2, "rotary_dim": 4},
    ),
    "codegen-heads": Variant(  # two heads in each of the four blocks of the fused matrix
        "CodeGenForCausalLM",
        {
            **SIZES,
            "n_embd": 32,
            "n_head": 8,
            "n_layer": 1,
            "rotary_dim": 2,
            "n_inner": 29,
            "activation_function": "gelu",
        },
    ),
}
