from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
PROTEINS = {**BERT, "pad_token_id": 1, "mask_token_id": 6, "token_dropout": True}
VARIANTS = {
    "esm": Variant(  # as ESM-2
        "EsmForMaskedLM",
        {**PROTEINS, "num_attention_heads": 2, "position_embedding_type": "rotary"},
        "esm",
    ),
    "esm-absolute": Variant(  # as ESM-1b
        "EsmForMaskedLM", {**PROTEINS, "emb_layer_norm_before": True}, "esm"
    ),
    "esm-untied": Variant(
        "EsmForMaskedLM",
        {
            **PROTEINS,
            "num_hidden_layers": 1,
            "token_dropout": False,
            "tie_word_embeddings": False,
        },
        "esm",
    ),
}
