from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
VARIANTS = {
    "mpnet": Variant(
        "MPNetForMaskedLM",
        {**BERT, "relative_attention_num_buckets": 32},
        "roberta",
        tokens={"long": 31},  # into the buckets that hold several distances
    ),
    "mpnet-untied": Variant(
        "MPNetForMaskedLM",
        {
            **BERT,
            "num_hidden_layers": 1,
            "relative_attention_num_buckets": 34,
            "tie_word_embeddings": False,
        },
        "roberta",
    ),
}
