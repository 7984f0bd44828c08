from __future__ import annotations

from .shared import IMAGE, Variant

ENCODER = True
VARIANTS = {
    "dinov2": Variant(
        "Dinov2ForImageClassification", {**IMAGE, "image_size": 15, "mlp_ratio": 2}, "dinov2"
    ),
    "dinov2-swiglu": Variant(
        "Dinov2ForImageClassification",
        {**IMAGE, "image_size": 12, "mlp_ratio": 2, "use_swiglu_ffn": True, "qkv_bias": False},
        "dinov2",
    ),
}
