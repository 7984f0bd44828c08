from __future__ import annotations

from .shared import EPS, Variant

VARIANTS = {
    "gpt2": Variant(
        "GPT2LMHeadModel",
        {
            "vocab_size": 47,
            "n_embd": 20,
            "n_head": 4,
            "n_layer": 2,
            "n_inner": 29,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
        },
    ),
    "gpt2-untied": Variant(
        "GPT2LMHeadModel",
        {
            "vocab_size": 47,
            "n_embd": 20,
            "n_head": 4,
            "n_layer": 1,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
            "tie_word_embeddings": False,
        },
    ),
    "gpt2-classifier": Variant(
        "GPT2ForSequenceClassification",
        {
            "vocab_size": 47,
            "n_embd": 20,
            "n_head": 4,
            "n_layer": 1,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
            "num_labels": 3,
            "pad_token_id": 0,
        },
    ),
    "gpt2-inverse": Variant(
        "GPT2LMHeadModel",
        {
            "vocab_size": 47,
            "n_embd": 15,
            "n_head": 3,
            "n_layer": 3,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
            "scale_attn_by_inverse_layer_idx": True,
            "activation_function": "gelu",
        },
        sharpness=1.6,
    ),
}
