from __future__ import annotations

from .shared import IMAGE, Variant

ENCODER = True
VARIANTS = {
    "vit": Variant(
        "ViTForImageClassification",
        {**IMAGE, "image_size": 12, "intermediate_size": 29, "qkv_bias": True},
        "vit",
    ),
    "vit-wide": Variant(
        "ViTForImageClassification",
        {**IMAGE, "image_size": [9, 15], "intermediate_size": 29, "qkv_bias": False},
        "vit",
    ),
}
