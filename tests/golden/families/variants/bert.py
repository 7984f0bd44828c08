from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
VARIANTS = {
    "bert": Variant("BertForMaskedLM", {**BERT, "type_vocab_size": 2}, "segments", sharpness=1.8),
    "bert-untied": Variant(
        "BertForMaskedLM",
        {**BERT, "num_hidden_layers": 1, "type_vocab_size": 2, "tie_word_embeddings": False},
        "segments",
        sharpness=1.8,
    ),
    "bert-tagger": Variant(
        "BertForTokenClassification",
        {**BERT, "num_hidden_layers": 1, "type_vocab_size": 2, "num_labels": 3},
        "segments",
        sharpness=1.8,
    ),
    **{
        f"bert-{kind}": Variant(
            "BertForMaskedLM",
            {
                **BERT,
                "num_hidden_layers": n_layer,
                "type_vocab_size": 2,
                "position_embedding_type": kind,
            },
            "segments",
            sharpness=1.2,
            transformers="4.",
        )
        for kind, n_layer in (("relative_key", 1), ("relative_key_query", 2))
    },
}
