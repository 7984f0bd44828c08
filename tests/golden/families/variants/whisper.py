from __future__ import annotations

from .shared import Variant

ENCODER = True
SIZES = {
    "vocab_size": 47,
    "num_mel_bins": 5,
    "d_model": 12,
    "encoder_layers": 2,
    "encoder_attention_heads": 3,
    "encoder_ffn_dim": 17,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 19,
    "max_source_positions": 11,
    "max_target_positions": 29,
    "decoder_start_token_id": 3,
    "pad_token_id": 2,
    "bos_token_id": 2,
    "eos_token_id": 2,
}
VARIANTS = {
    "whisper": Variant("WhisperForConditionalGeneration", SIZES, "whisper"),
    "whisper-untied": Variant(
        "WhisperForConditionalGeneration",
        {
            **SIZES,
            "encoder_layers": 1,
            "decoder_layers": 3,
            "activation_function": "relu",
            "scale_embedding": True,
            "tie_word_embeddings": False,
        },
        "whisper",
    ),
    "whisper-classifier": Variant(
        "WhisperForAudioClassification",
        {**SIZES, "num_labels": 3, "classifier_proj_size": 7},
        "sound",
    ),
}
