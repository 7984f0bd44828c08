from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
RELATIVE = {**BERT, "type_vocab_size": 0, "relative_attention": True, "pad_token_id": 0}
VARIANTS = {
    "deberta-v2": Variant(  # as DeBERTa v3
        "DebertaV2ForMaskedLM",
        {
            **RELATIVE,
            "max_position_embeddings": 53,
            "max_relative_positions": -1,
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "legacy": False,
        },
        "encoder",
        sharpness=1.8,
        tokens={"long": 23},  # into the buckets that hold several distances
    ),
    "deberta-v2-apart": Variant(
        "DebertaV2ForMaskedLM",
        {
            **RELATIVE,
            "type_vocab_size": 2,
            "num_hidden_layers": 1,
            "max_relative_positions": 6,
            "pos_att_type": "c2p|p2c",
            "tie_word_embeddings": False,
        },
        "segments",
        sharpness=1.8,
    ),
    "deberta-v2-one-way": Variant(
        "DebertaV2Model",
        {
            **RELATIVE,
            "num_hidden_layers": 1,
            "max_relative_positions": 19,
            "position_buckets": 6,
            "pos_att_type": ["p2c"],
        },
        "encoder",
        sharpness=1.8,
        tokens={"long": 23},
    ),
    "deberta-v2-convolution": Variant(  # as DeBERTa v2's extra large ones
        "DebertaV2ForMaskedLM",
        {
            **RELATIVE,
            "max_relative_positions": 17,
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": "p2c|c2p",
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "position_biased_input": False,
        },
        "encoder",
        sharpness=1.8,
    ),
    "deberta-v2-absolute": Variant(
        "DebertaV2Model", {**BERT, "num_hidden_layers": 1, "pad_token_id": 0}, "encoder"
    ),
}
