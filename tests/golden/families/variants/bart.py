from __future__ import annotations

from .shared import SEQ2SEQ, SMALL, Variant

VARIANTS = {
    "bart": Variant(
        "BartForConditionalGeneration",
        {**SEQ2SEQ, "encoder_layers": 2, "decoder_layers": 2},
        "seq2seq",
        embedding=SMALL,
    ),
    "bart-untied": Variant(  # three tables of tokens, and the output
        "BartForConditionalGeneration",
        {**SEQ2SEQ, "encoder_layers": 1, "decoder_layers": 1, "tie_word_embeddings": False},
        "seq2seq",
        embedding=SMALL,
    ),
    "bart-classifier": Variant(
        "BartForSequenceClassification",
        {**SEQ2SEQ, "encoder_layers": 1, "decoder_layers": 1, "num_labels": 3},
        "classified",
        embedding=SMALL,
    ),
    "bart-scaled": Variant(
        "BartForConditionalGeneration",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "decoder_attention_heads": 2,
            "scale_embedding": True,
            "activation_function": "relu",
        },
        "seq2seq",
        embedding=SMALL,
    ),
}
