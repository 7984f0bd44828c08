from __future__ import annotations

from .shared import SMALL, Variant

ENCODER = True
VARIANTS = {
    "distilbert": Variant(
        "DistilBertForMaskedLM",
        {
            "vocab_size": 47,
            "dim": 20,
            "n_heads": 4,
            "n_layers": 2,
            "hidden_dim": 29,
            "max_position_embeddings": 37,
        },
        "encoder",
        embedding=SMALL,
    ),
    "distilbert-untied": Variant(
        "DistilBertForMaskedLM",
        {
            "vocab_size": 47,
            "dim": 20,
            "n_heads": 4,
            "n_layers": 1,
            "hidden_dim": 29,
            "max_position_embeddings": 37,
            "tie_word_embeddings": False,
        },
        "encoder",
        embedding=SMALL,
    ),
    "distilbert-sinusoidal": Variant(
        "DistilBertForMaskedLM",
        {
            "vocab_size": 47,
            "dim": 20,
            "n_heads": 4,
            "n_layers": 2,
            "hidden_dim": 29,
            "max_position_embeddings": 37,
            "sinusoidal_pos_embds": True,
        },
        "encoder",
        sharpness=1.8,
        embedding=SMALL,
    ),
}
