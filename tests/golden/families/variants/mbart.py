from __future__ import annotations

from .shared import SEQ2SEQ, SMALL, Variant

VARIANTS = {
    "mbart": Variant(
        "MBartForConditionalGeneration",
        {
            **SEQ2SEQ,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "scale_embedding": True,
            "activation_function": "relu",
            "decoder_start_token_id": 2,
        },
        "seq2seq",
        embedding=SMALL,
    ),
    "mbart-untied": Variant(
        "MBartForConditionalGeneration",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "decoder_attention_heads": 2,
            "tie_word_embeddings": False,
            "decoder_start_token_id": 45,
        },
        "seq2seq",
        embedding=SMALL,
    ),
    "mbart-classifier": Variant(  # its decoder begins with the last token of the text
        "MBartForSequenceClassification",
        {**SEQ2SEQ, "encoder_layers": 1, "decoder_layers": 1, "num_labels": 3},
        "classified",
        embedding=SMALL,
    ),
}
