from __future__ import annotations

from .shared import SEQ2SEQ, Variant

VARIANTS = {
    "marian": Variant(
        "MarianMTModel",
        {
            **SEQ2SEQ,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "scale_embedding": True,
            "activation_function": "swish",
            "pad_token_id": 46,
            "decoder_start_token_id": 46,
            "eos_token_id": 0,
        },
        "seq2seq",
    ),
    "marian-untied": Variant(
        "MarianMTModel",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "tie_word_embeddings": False,
            "pad_token_id": 46,
            "decoder_start_token_id": 46,
            "eos_token_id": 0,
        },
        "seq2seq",
    ),
    "marian-unshared": Variant(
        "MarianMTModel",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "vocab_size": 43,
            "decoder_vocab_size": 37,
            "share_encoder_decoder_embeddings": False,
            "activation_function": "relu",
            "pad_token_id": 36,
            "decoder_start_token_id": 36,
            "eos_token_id": 0,
        },
        "seq2seq",
    ),
}
