from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
VARIANTS = {
    "roberta-untied": Variant(
        "RobertaForMaskedLM",
        {**BERT, "num_hidden_layers": 1, "type_vocab_size": 1, "tie_word_embeddings": False},
        "roberta",
    ),
    "roberta": Variant("RobertaForMaskedLM", {**BERT, "type_vocab_size": 1}, "roberta"),
}
