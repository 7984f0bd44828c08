from __future__ import annotations

from .shared import EPS, Variant

ENCODER = True
SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "patch_size": 3,
    "intermediate_size": 29,
    "layer_norm_eps": EPS,
}
VARIANTS = {
    "dinov3_vit": Variant(
        "DINOv3ViTModel",
        {**SIZES, "image_size": 15, "num_register_tokens": 4},
        "dinov2",
    ),
    "dinov3_vit-gated": Variant(
        "DINOv3ViTModel",
        {
            **SIZES,
            "image_size": 12,
            "num_register_tokens": 2,
            "use_gated_mlp": True,
            "hidden_act": "silu",
            "rope_theta": 31.0,
            "query_bias": False,
            "key_bias": True,
            "value_bias": False,
            "proj_bias": False,
            "mlp_bias": False,
        },
        "dinov2",
    ),
    "dinov3_vit-bare": Variant(
        "DINOv3ViTModel", {**SIZES, "image_size": 12, "num_hidden_layers": 1}, "dinov2"
    ),
}
