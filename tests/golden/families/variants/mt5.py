from __future__ import annotations

from .shared import Variant
from .t5 import SIZES

ENCODER = True
VARIANTS = {
    "mt5": Variant(
        "MT5ForConditionalGeneration",
        {**SIZES, "num_decoder_layers": 3, "decoder_start_token_id": 0},
        "seq2seq",
        sharpness=0.7,
        tokens={"long": 19},  # into the buckets that hold several distances
    ),
    "mt5-encoder": Variant(
        "MT5EncoderModel",
        {**SIZES, "feed_forward_proj": "gated-silu"},
        "encoder",
        sharpness=0.7,
        tokens={"long": 19},
    ),
    "mt5-classifier": Variant(
        "MT5ForSequenceClassification",
        {
            **SIZES,
            "num_layers": 1,
            "decoder_start_token_id": 0,
            "num_labels": 3,
            "feed_forward_proj": "relu",
        },
        "classified",
        sharpness=0.7,
    ),
    "mt5-untied": Variant(  # as published
        "MT5ForConditionalGeneration",
        {**SIZES, "num_layers": 1, "decoder_start_token_id": 0},
        "seq2seq",
        sharpness=0.7,
        untied=True,
    ),
}
