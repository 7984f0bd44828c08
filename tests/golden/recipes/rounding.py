"""What half precision cannot hold."""

from __future__ import annotations

import torch.nn.functional as F

from .dump import Draw, Saved, misuse, saved, softmax_of


@misuse("X10", thread="ggml-org/llama.cpp#8412")
def scores_overflow_in_half(draw: Draw) -> Saved:
    """q k^T in float16 before the scale: above 65 504."""
    q, k, v = (x.half() for x in draw.heads(11, 13, d=7))
    q, k = q * 170, k * 170
    out = softmax_of((q @ k.mT) / 7**0.5, v)
    right = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    return saved(right, q=q, k=k, v=v, out=out)
