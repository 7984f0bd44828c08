from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
VARIANTS = {
    "electra": Variant(
        "ElectraForPreTraining",
        {**BERT, "embedding_size": 13, "type_vocab_size": 2},
        "segments",
        sharpness=1.8,
    ),
    "electra-untied": Variant(
        "ElectraForMaskedLM",
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
    "electra-generator": Variant(
        "ElectraForMaskedLM",
        {
            **BERT,
            "hidden_size": 16,
            "intermediate_size": 19,
            "embedding_size": 13,
            "type_vocab_size": 2,
            "hidden_act": "relu",
        },
        "segments",
        sharpness=1.8,
    ),
}
