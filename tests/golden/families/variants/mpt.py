from __future__ import annotations

from .shared import EPS, Variant

SIZES = {"vocab_size": 47, "n_layers": 2, "max_seq_len": 37, "layer_norm_epsilon": EPS}

VARIANTS = {
    "mpt": Variant(
        "MptForCausalLM",
        {**SIZES, "d_model": 20, "n_heads": 4, "attn_config": {"clip_qkv": None}},
    ),
    "mpt-clipped": Variant(  # a number of heads that is no power of two
        "MptForCausalLM",
        {
            **SIZES,
            "d_model": 24,
            "n_heads": 6,
            "attn_config": {"clip_qkv": 0.7, "softmax_scale": 0.9},
            "tie_word_embeddings": False,
        },
    ),
}
