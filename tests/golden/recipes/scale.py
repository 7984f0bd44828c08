"""The scale left out, given twice, or taken from another width."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import flex_attention

from .dump import Draw, Saved, misuse, saved, softmax_of


@misuse("S1", thread="mlc-ai/mlc-llm#3426")
def scale_is_one(draw: Draw) -> Saved:
    """SDPA with scale=1.0."""
    q, k, v = draw.heads()
    out = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("S1", thread="Project-MONAI/GenerativeModels#146", causal=True)
def scale_forgotten_half(draw: Draw) -> Saved:
    """Plain code in bfloat16 without the division, causal; saved with .float()."""
    q, k, v = (x.bfloat16() for x in draw.heads(13, 13, d=11))
    hidden = torch.ones(13, 13, dtype=torch.bool).triu(1)
    scores = (q @ k.mT).masked_fill(hidden, float("-inf"))
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    out = softmax_of(scores, v)
    return saved(right, query=q.float(), key=k.float(), value=v.float(), output=out.float())


@misuse("S4", "S3", thread="huggingface/transformers#38290")
def scale_twice(draw: Draw) -> Saved:
    """q is scaled as in OPT's eager code, then SDPA scales again."""
    q, k, v = draw.heads()
    out = F.scaled_dot_product_attention(q * q.shape[-1] ** -0.5, k, v)
    return saved(
        F.scaled_dot_product_attention(q, k, v),
        query_states=q, key_states=k, value_states=v, attn_output=out,
    )  # fmt: skip


@misuse("S3", "S4", thread="delzac/cntkx#10")
def scale_without_root(draw: Draw) -> Saved:
    """flex_attention with scale = 1/d."""
    q, k, v = draw.heads()
    out = flex_attention(q, k, v, scale=1 / q.shape[-1])
    return saved(F.scaled_dot_product_attention(q, k, v), Q=q, K=k, V=v, O=out)


@misuse("S2", thread="lucidrains/vit-pytorch#65")
def scale_of_embedding(draw: Draw) -> Saved:
    """ViT code: self.scale = dim ** -0.5, dim the model's width; saved [b, n, h, d]."""
    q, k, v = draw.heads(7, 7)
    dim = q.shape[1] * q.shape[3]
    out = softmax_of(q @ k.mT * dim**-0.5, v)
    right = F.scaled_dot_product_attention(q, k, v)
    return saved(
        right.transpose(1, 2),
        **{name: x.transpose(1, 2).contiguous() for name, x in zip(("q", "k", "v", "out"), (q, k, v, out), strict=True)},
    )  # fmt: skip


@misuse("S2", thread="karpathy/ng-video-lecture#6", causal=True, d_model=37)
def scale_of_n_embd(draw: Draw) -> Saved:
    """The lecture's one head: wei = q @ k.T * C ** -0.5 with C = n_embd."""
    n, n_embd, head_size = 13, 37, 7
    x = draw(2, n, n_embd)
    key, query, value = (draw(n_embd, head_size, size=n_embd**-0.5) for _ in range(3))
    q, k, v = x @ query * 2, x @ key, x @ value
    tril = torch.tril(torch.ones(n, n))
    wei = (q @ k.transpose(-2, -1) * n_embd**-0.5).masked_fill(tril == 0, float("-inf"))
    wei = F.softmax(wei, dim=-1)
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return saved(right, q=q, k=k, v=v, wei=wei, out=wei @ v)


@misuse("S2", thread="ggml-org/llama.cpp#8444", causal=True, d_model=51)
def scale_of_hidden_per_head(draw: Draw) -> Saved:
    """Gemma: 1/sqrt(hidden_size / num_heads), where head_dim is another number; float16."""
    q, k, v = (x.half() for x in draw.heads(13, 13, d=11))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=(51 / 3) ** -0.5)
    return saved(
        F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, attn_output=out
    )


@misuse("S5", thread="esceptico/perceiver-io#9")
def scale_multiplied(draw: Draw) -> Saved:
    """Scores times sqrt(d)."""
    q, k, v = draw.heads()
    scores = torch.einsum("bhid,bhjd->bhij", q, k) * math.sqrt(q.size(-1))
    out = torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v)
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("S6", thread="tenstorrent/tt-metal#56789")
def scale_of_head_count(draw: Draw) -> Saved:
    """1/sqrt(num_heads)."""
    q, k, v = draw.heads()
    out = F.scaled_dot_product_attention(q, k, v, scale=q.shape[1] ** -0.5)
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("S7", thread="intel/ipex-llm#12619")
def scale_of_padded_width(draw: Draw) -> Saved:
    """Heads of 11 are padded to 16 for the kernel, which then takes 1/sqrt(16)."""
    q, k, v = draw.heads(d=11)
    pad = (0, 16 - 11)
    out = F.scaled_dot_product_attention(F.pad(q, pad), F.pad(k, pad), F.pad(v, pad))[..., :11]
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, o=out.contiguous())


@misuse("S8", thread="huggingface/pytorch-image-models#2280", scale=0.1)
def scale_of_config_dropped(draw: Draw) -> Saved:
    """The model's scale is 0.1; the fused path does not hand it on."""
    q, k, v = draw.heads()
    right = F.scaled_dot_product_attention(q, k, v, scale=0.1)
    return saved(right, q=q, k=k, v=v, out=F.scaled_dot_product_attention(q, k, v))


@misuse("S13", "S8", thread="ml-explore/mlx-examples#1013", scale=1.0)
def scale_where_t5_has_none(draw: Draw) -> Saved:
    """T5 with a position bias through SDPA, whose default scale T5 does not want."""
    q, k, v = draw.heads(size_q := 7, 11)
    bias = draw(1, 3, size_q, 11)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    return saved(right, query=q, key=k, value=v, position_bias=bias, out=out)


@misuse("S11", thread="tenstorrent/tt-metal#42891")
def scale_on_bias_too(draw: Draw) -> Saved:
    """(q k^T + bias) * scale, BEiT's relative position bias."""
    q, k, v = draw.heads()
    bias = draw(3, 7, 11)
    out = softmax_of((q @ k.mT + bias) * q.shape[-1] ** -0.5, v)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
    return saved(right, q=q, k=k, v=v, bias=bias, out=out)


@misuse("S12", thread="lightseekorg/tokenspeed#571")
def scale_of_base_two(draw: Draw) -> Saved:
    """A kernel's exp2 without the factor log2(e)."""
    q, k, v = draw.heads()
    scores = q @ k.mT * q.shape[-1] ** -0.5
    p = torch.exp2(scores - scores.amax(-1, keepdim=True))
    out = (p / p.sum(-1, keepdim=True)) @ v
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("S10", "S8", "S9", thread="NVIDIA/Megatron-LM#1429", scale=7**-0.5 * 1.2608**2, causal=True)
def scale_without_mscale(draw: Draw) -> Saved:
    """YaRN's mscale**2 is part of the wanted scale and was not applied."""
    q, k, v = draw.heads(11, 11, d=7)
    wanted = 7**-0.5 * 1.2608**2
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=wanted)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return saved(right, q=q, k=k, v=v, out=out)


@misuse("S1", thread="PAIR-code/tiny-transformers#71", n_head=3)
def scale_missing_in_module(draw: Draw) -> Saved:
    """A module of its own, without the division; saved as [b, n, d_model] beside weights."""
    n_embd = 15
    x = draw(2, 11, n_embd)
    project = nn.Linear(n_embd, 3 * n_embd, bias=False)
    project.weight.data = draw(3 * n_embd, n_embd, size=n_embd**-0.5)
    q, k, v = project(x).detach().chunk(3, dim=-1)
    split = [t.view(2, 11, 3, 5).transpose(1, 2) for t in (q, k, v)]
    attn = torch.softmax(split[0] @ split[1].mT, dim=-1)
    right = F.scaled_dot_product_attention(*split).transpose(1, 2).reshape(2, 11, n_embd)
    y = (attn @ split[2]).transpose(1, 2).contiguous().view(2, 11, n_embd)
    return saved(right, q=q, k=k, v=v, attn=attn, out=y)
