from __future__ import annotations

from .shared import Variant
from .t5 import SIZES

ENCODER = True
VARIANTS = {
    "umt5": Variant(
        "UMT5ForConditionalGeneration",
        {**SIZES, "num_decoder_layers": 3, "decoder_start_token_id": 0},
        "seq2seq",
        sharpness=0.7,
        tokens={"long": 19},  # into the buckets that hold several distances
    ),
    "umt5-encoder": Variant(
        "UMT5EncoderModel",
        {**SIZES, "feed_forward_proj": "gated-silu"},
        "encoder",
        sharpness=0.7,
        tokens={"long": 19},
    ),
    "umt5-classifier": Variant(
        "UMT5ForSequenceClassification",
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
}
