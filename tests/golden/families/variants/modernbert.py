from __future__ import annotations

from .shared import EPS, Variant

ENCODER = True
SIZES = {
    "vocab_size": 47,
    "hidden_size": 20,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 13,
    "max_position_embeddings": 41,
    "norm_eps": EPS,
    "local_attention": 6,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
VARIANTS = {
    "modernbert": Variant("ModernBertForMaskedLM", SIZES, "encoder"),
    "modernbert-biases": Variant(
        "ModernBertForMaskedLM",
        {
            **SIZES,
            "num_hidden_layers": 2,
            "local_attention": 7,
            "layer_types": ["sliding_attention", "full_attention"],
            "attention_bias": True,
            "mlp_bias": True,
            "norm_bias": True,
            "classifier_bias": True,
            "decoder_bias": False,
            "hidden_activation": "silu",
            "tie_word_embeddings": False,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
                "full_attention": {"rope_type": "linear", "factor": 2.5, "rope_theta": 3000.0},
            },
        },
        "encoder",
    ),
}
