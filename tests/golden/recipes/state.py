"""Dropout that is still on."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .dump import Draw, Saved, misuse, saved
from .masks import module, projected


@misuse("D1", thread="pytorch/pytorch#124464", causal=True)
def dropout_in_sdpa_at_eval(draw: Draw) -> Saved:
    """dropout_p=0.1 is applied whatever the mode of the module."""
    q, k, v = draw.heads(11, 11, d=13)
    torch.manual_seed(5)
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1, is_causal=True)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


@misuse("D1", thread="huggingface/pytorch-image-models#1978")
def dropout_of_functional(draw: Draw) -> Saved:
    """F.dropout(attn, 0.1), whose default is training=True; the weights are saved."""
    q, k, v = draw.heads(13, 17)
    torch.manual_seed(7)
    attn = F.dropout(torch.softmax(q @ k.mT / 5**0.5, -1), 0.1)
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, attn=attn, out=attn @ v)


@misuse("D1", thread="pytorch/pytorch#27968", n_head=3)
def dropout_in_training_mode(draw: Draw) -> Saved:
    """nn.MultiheadAttention(dropout=0.25) that nobody put into eval()."""
    mha, x = module(draw, dropout=0.25).train(), draw(2, 11, 15)
    q, k, v = projected(mha, x, x)
    torch.manual_seed(3)
    out, weights = mha(x, x, x, average_attn_weights=False)
    right = mha.eval()(x, x, x)[0].detach()
    return saved(right, q=q, k=k, v=v, attn_weights=weights.detach(), out=out.detach())
