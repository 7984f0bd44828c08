"""Writes torch-attention.npz: what PyTorch's own attention makes of q, k, v and masks, from which
`--spec torch` and `--spec torch-mha` are checked.

    python tests/golden/make_torch_attention.py     (with torch 2.13)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

TARGET = Path(__file__).with_name("torch-attention.npz")


def sdpa(name, n_kv_head=6, mask=None, **how):
    """[2, 6, 5, 7] queries, [2, n_kv_head, 11, 7] keys."""
    q, k, v = (
        torch.randn(2, heads, n, 7) for heads, n in ((6, 5), (n_kv_head, 11), (n_kv_head, 11))
    )
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask, **how)
    arrays = {"q": q, "k": k, "v": v, "out": out}
    return name, arrays | ({} if mask is None else {"attn_mask": mask})


def mha(name, weights, batch_first=False, **masks):
    """nn.MultiheadAttention whose projections are the identity, so that q, k and v are its inputs:
    [5, 2, 21] queries, [11, 2, 21] keys, 3 heads."""
    module = nn.MultiheadAttention(21, 3, bias=False, batch_first=batch_first)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.eye(21).repeat(3, 1))
        module.out_proj.weight.copy_(torch.eye(21))
    q, k, v = (torch.randn(*((2, n) if batch_first else (n, 2)), 21) for n in (5, 11, 11))
    with torch.no_grad():
        out, mean = module(q, k, v, need_weights=weights, **masks)
    arrays = {"q": q, "k": k, "v": v, "out": out, **masks}
    return name, arrays | ({"weights": mean} if weights else {})


def cases():
    """Name of the case -> arrays."""
    torch.manual_seed(15)
    yield sdpa("sdpa_plain")
    yield sdpa("sdpa_causal", is_causal=True)
    yield sdpa("sdpa_grouped", n_kv_head=2, enable_gqa=True, scale=0.3)
    shown = torch.rand(2, 1, 5, 11) < 0.6
    shown[1, 0, 3] = False  # a query that sees no key
    yield sdpa("sdpa_bool", mask=shown)
    yield sdpa("sdpa_float", mask=torch.randn(5, 11))
    hidden = torch.rand(5, 11) < 0.4
    hidden[:, 0] = False
    padding = torch.zeros(2, 11, dtype=torch.bool)
    padding[1, 8:] = True
    yield mha("mha_mask", False, attn_mask=hidden)
    yield mha("mha_weights", True, attn_mask=hidden, key_padding_mask=padding)
    yield mha("mha_batch_first", False, batch_first=True, key_padding_mask=padding)
    nothing = hidden.clone()
    nothing[2] = True
    yield mha("mha_empty", False, attn_mask=nothing)
    yield mha("mha_empty_weights", True, attn_mask=nothing)


if __name__ == "__main__":
    named = {f"{case}/{name}": x.numpy() for case, arrays in cases() for name, x in arrays.items()}
    np.savez_compressed(TARGET, torch=torch.__version__, **named)
