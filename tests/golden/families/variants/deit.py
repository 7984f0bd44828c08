from __future__ import annotations

from .shared import IMAGE, Variant

ENCODER = True
VARIANTS = {
    "deit": Variant(
        "DeiTForImageClassificationWithTeacher",
        {**IMAGE, "image_size": 12, "intermediate_size": 29, "qkv_bias": True},
        "vit",
    ),
    "deit-wide": Variant(
        "DeiTForImageClassification",
        {**IMAGE, "image_size": [9, 15], "intermediate_size": 29, "qkv_bias": False},
        "vit",
    ),
}
