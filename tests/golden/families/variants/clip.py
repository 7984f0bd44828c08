from __future__ import annotations

from .shared import EPS, Variant

ENCODER = True
CONFIG = {
    "projection_dim": 13,
    "text_config": {
        "vocab_size": 47,
        "hidden_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 23,
        "max_position_embeddings": 37,
        "layer_norm_eps": EPS,
        "eos_token_id": 46,
        "bos_token_id": 45,
        "pad_token_id": 1,
    },
    "vision_config": {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 29,
        "image_size": 12,
        "patch_size": 3,
        "layer_norm_eps": EPS,
    },
}
VARIANTS = {
    "clip": Variant("CLIPModel", CONFIG, "clip_image"),
    "clip-text": Variant("CLIPModel", {**CONFIG}, "clip_text"),
}
