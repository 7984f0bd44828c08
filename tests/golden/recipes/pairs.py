"""Two mistakes at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .causal import windowed
from .dump import Draw, Saved, misuse, saved, softmax_of
from .masks import scores_of

sdpa = F.scaled_dot_product_attention


@misuse("S2+C3", thread="lucidrains/vit-pytorch#65", causal=True, alignment="lower_right")
def scale_and_alignment(draw: Draw) -> Saved:
    """1/sqrt(d_model) and is_causal with more keys than queries."""
    q, k, v = draw.heads()
    right = sdpa(q, k, v, attn_mask=torch.ones(7, 11, dtype=torch.bool).tril(4))
    return saved(right, q=q, k=k, v=v, out=sdpa(q, k, v, is_causal=True, scale=15**-0.5))


@misuse("S1+M6", thread="microsoft/MInference#69")
def scale_and_mask_dropped(draw: Draw) -> Saved:
    """Neither the scale nor the padding mask."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None]
    return saved(
        sdpa(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=softmax_of(q @ k.mT, v)
    )


@misuse("S1+G1", thread="BobMcDear/attorch#14", causal=True)
def scale_and_groups(draw: Draw) -> Saved:
    """No scale, and groups tiled."""
    q, k, v = draw.heads(7, 7, n_head=6, n_kv_head=2)
    out = sdpa(q, k.repeat(1, 3, 1, 1), v.repeat(1, 3, 1, 1), is_causal=True, scale=1.0)
    return saved(sdpa(q, k, v, is_causal=True, enable_gqa=True), q=q, k=k, v=v, out=out)


@misuse("S4+M1", "S3+M1", thread="nyu-mll/jiant#465")
def scale_twice_and_mask_inverted(draw: Draw) -> Saved:
    """q is scaled before SDPA, and the mask says what is hidden."""
    q, k, v = draw.heads()
    mask = torch.rand(2, 1, 7, 11, generator=draw.generator) < 0.6
    mask[..., 0], mask[..., 1] = True, False
    out = sdpa(q * 5**-0.5, k, v, attn_mask=~mask)
    return saved(sdpa(q, k, v, attn_mask=mask), q=q, k=k, v=v, attn_mask=mask, out=out)


@misuse("W1+S2", thread="huggingface/transformers#39408", causal=True, window=5)
def window_and_scale(draw: Draw) -> Saved:
    """One key too many, and 1/sqrt(d_model)."""
    q, k, v = draw.heads(13, 13)
    out = softmax_of((q @ k.mT * 15**-0.5).masked_fill(~windowed(13, 13, 6), float("-inf")), v)
    return saved(sdpa(q, k, v, attn_mask=windowed(13, 13, 5)), q=q, k=k, v=v, out=out)


@misuse("C3+G1", thread="onnx/onnx#7274", causal=True, alignment="lower_right")
def alignment_and_groups(draw: Draw) -> Saved:
    """is_causal with more keys than queries, and groups tiled."""
    q, k, v = draw.heads(n_head=6, n_kv_head=2)
    right = sdpa(q, k, v, attn_mask=torch.ones(7, 11, dtype=torch.bool).tril(4), enable_gqa=True)
    out = sdpa(q, k.repeat(1, 3, 1, 1), v.repeat(1, 3, 1, 1), is_causal=True)
    return saved(right, q=q, k=k, v=v, out=out)


@misuse("M3+S1", "M5+S1", thread="awslabs/gluonts#1401")
def fill_and_scale(draw: Draw) -> Saved:
    """masked_fill with 1e-9, and no scale."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None]
    out = softmax_of((q @ k.mT).masked_fill(mask == 0, 1e-9), v)
    return saved(sdpa(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out)


@misuse("M4+S4", "M4+S3", thread="huggingface/pytorch-image-models#2236")
def mask_after_softmax_and_scale_twice(draw: Draw) -> Saved:
    """Both."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None]
    out = (scores_of(q * 5**-0.5, k).softmax(-1) * mask) @ v
    return saved(sdpa(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out)


@misuse("C3+W1", thread="Dao-AILab/flash-attention#282", causal=True, window=5,
        alignment="lower_right")  # fmt: skip
def alignment_and_window(draw: Draw) -> Saved:
    """Queries counted from the first key, and j >= i - W keeps one key too many."""
    q, k, v = draw.heads(13, 17)
    i, j = torch.arange(13)[:, None], torch.arange(17)
    out = sdpa(q, k, v, attn_mask=(j <= i) & (j >= i - 5))
    return saved(sdpa(q, k, v, attn_mask=windowed(13, 17, 5)), q=q, k=k, v=v, out=out)


@misuse("M2+S1", thread="huggingface/transformers#41443")
def mask_added_and_no_scale(draw: Draw) -> Saved:
    """The eager code adds a boolean mask to scores that nobody scaled."""
    q, k, v = draw.heads(7, 7)
    mask = torch.ones(7, 7, dtype=torch.bool).tril()
    out = softmax_of(q @ k.mT + mask, v)
    return saved(sdpa(q, k, v, attn_mask=mask), q=q, k=k, v=v, attn_mask=mask, out=out)


@misuse("C3+S12", thread="lightseekorg/tokenspeed#571", causal=True, alignment="lower_right")
def alignment_and_base_two(draw: Draw) -> Saved:
    """A kernel's exp2 without log2(e), and queries counted from the first key."""
    q, k, v = draw.heads()
    hidden = ~torch.ones(7, 11, dtype=torch.bool).tril()
    weights = torch.exp2(scores_of(q, k).masked_fill(hidden, -torch.inf))
    right = sdpa(q, k, v, attn_mask=torch.ones(7, 11, dtype=torch.bool).tril(4))
    return saved(right, q=q, k=k, v=v, out=weights / weights.sum(-1, keepdim=True) @ v)


@misuse("M11+S2", thread="ArrowLuo/CLIP4Clip#22", d_model=15)
def mask_repeated_and_scale(draw: Draw) -> Saved:
    """repeat(h, 1, 1) of a mask of each text, and 1/sqrt(d_model)."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None]
    repeated = mask[:, 0].expand(2, 7, 11).repeat(3, 1, 1).view(2, 3, 7, 11)
    out = sdpa(q, k, v, attn_mask=repeated, scale=15**-0.5)
    return saved(sdpa(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out)


@misuse("L2+G1", thread="jsbaan/transformer-from-scratch#4", causal=True)
def merge_and_groups(draw: Draw) -> Saved:
    """Groups tiled, and the heads reshaped without a transpose."""
    q, k, v = draw.heads(7, 7, n_head=6, n_kv_head=2)
    out = sdpa(q, k.repeat(1, 3, 1, 1), v.repeat(1, 3, 1, 1), is_causal=True)
    right = sdpa(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2)
    return saved(right, q=q, k=k, v=v, attn_output=out.reshape(2, 7, -1))
