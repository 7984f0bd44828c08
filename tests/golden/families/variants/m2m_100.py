from __future__ import annotations

from .shared import SEQ2SEQ, Variant

VARIANTS = {
    "m2m_100": Variant(
        "M2M100ForConditionalGeneration",
        {**SEQ2SEQ, "encoder_layers": 2, "decoder_layers": 2},
        "padded_inside",
    ),
    "m2m_100-untied": Variant(  # of an odd width, whose last feature knows no positions
        "M2M100ForConditionalGeneration",
        {
            **SEQ2SEQ,
            "d_model": 15,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "scale_embedding": False,
            "activation_function": "gelu",
            "pad_token_id": 3,
            "tie_word_embeddings": False,
        },
        "padded_inside",
    ),
}
