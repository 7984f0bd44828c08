from __future__ import annotations

from .shared import EPS, Variant

ENCODER = True
SIZES = {
    "vocab_size": 47,
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 23,
    "max_position_embeddings": 37,
    "type_vocab_size": 2,
    "layer_norm_eps": EPS,
}
VARIANTS = {
    "nomic_bert": Variant("NomicBertForMaskedLM", SIZES, "segments"),
    "nomic_bert-wide": Variant(
        "NomicBertForMaskedLM",
        {
            **SIZES,
            "num_hidden_layers": 1,
            "head_dim": 14,
            "hidden_act": "gelu",
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 300.0},
        },
        "segments",
    ),
}
