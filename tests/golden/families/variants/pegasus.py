from __future__ import annotations

from .shared import SEQ2SEQ, Variant

VARIANTS = {
    "pegasus": Variant(
        "PegasusForConditionalGeneration",
        {
            **SEQ2SEQ,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "scale_embedding": True,
            "activation_function": "relu",
        },
        "seq2seq",
    ),
    "pegasus-untied": Variant(
        "PegasusForConditionalGeneration",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "decoder_attention_heads": 2,
            "tie_word_embeddings": False,
        },
        "seq2seq",
    ),
}
