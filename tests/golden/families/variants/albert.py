from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
VARIANTS = {
    "albert": Variant(
        "AlbertForMaskedLM",
        {**BERT, "num_hidden_layers": 3, "embedding_size": 13, "type_vocab_size": 2},
        "segments",
        sharpness=1.8,
    ),
    "albert-untied": Variant(
        "AlbertForMaskedLM",
        {
            **BERT,
            "num_hidden_layers": 1,
            "embedding_size": 13,
            "type_vocab_size": 2,
            "tie_word_embeddings": False,
        },
        "segments",
        sharpness=1.8,
    ),
    "albert-groups": Variant(
        "AlbertForMaskedLM",
        {
            **BERT,
            "hidden_size": 16,
            "intermediate_size": 19,
            "num_hidden_layers": 3,
            "num_hidden_groups": 2,
            "inner_group_num": 2,
            "embedding_size": 13,
            "type_vocab_size": 2,
        },
        "segments",
        sharpness=2.3,
    ),
}
