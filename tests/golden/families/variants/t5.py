from __future__ import annotations

from .shared import EPS, Variant

ENCODER = True
SIZES = {
    "vocab_size": 47,
    "d_model": 14,
    "num_heads": 4,
    "d_kv": 6,
    "d_ff": 17,
    "num_layers": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 15,
    "layer_norm_epsilon": EPS,
}
VARIANTS = {
    "t5": Variant(
        "T5ForConditionalGeneration",
        {**SIZES, "decoder_start_token_id": 0},
        "seq2seq",
        sharpness=0.7,
        tokens={"long": 19},  # into the buckets that hold several distances
    ),
    "t5-encoder": Variant(  # as sentence-t5
        "T5EncoderModel",
        SIZES,
        "encoder",
        sharpness=0.7,
        tokens={"long": 19},
    ),
    "t5-classifier": Variant(
        "T5ForSequenceClassification",
        {**SIZES, "num_layers": 1, "decoder_start_token_id": 0, "num_labels": 3},
        "classified",
        sharpness=0.7,
    ),
    "t5-v1_1": Variant(
        "T5ForConditionalGeneration",
        {
            **SIZES,
            "num_layers": 1,
            "num_decoder_layers": 2,
            "relative_attention_num_buckets": 10,
            "relative_attention_max_distance": 17,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            "decoder_start_token_id": 0,
        },
        "seq2seq",
        sharpness=0.7,
        tokens={"long": 19},  # into the buckets that hold several distances
        untied=True,
    ),
}
