from __future__ import annotations

from .shared import IMAGE, Variant

ENCODER = True
VARIANTS = {
    "dinov2_with_registers": Variant(
        "Dinov2WithRegistersForImageClassification",
        {**IMAGE, "image_size": 15, "mlp_ratio": 2, "num_register_tokens": 3},
        "dinov2_square",
    ),
    "dinov2_with_registers-swiglu": Variant(
        "Dinov2WithRegistersForImageClassification",
        {
            **IMAGE,
            "image_size": 12,
            "mlp_ratio": 2,
            "num_register_tokens": 2,
            "use_swiglu_ffn": True,
            "qkv_bias": False,
        },
        "dinov2",
    ),
}
