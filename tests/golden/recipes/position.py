"""ALiBi and RoPE: sign, slopes, pairs of features, base, offset."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from .dump import Draw, Saved, misuse, saved

sdpa = F.scaled_dot_product_attention


def slopes(n_head: int, first: int = 1) -> Tensor:
    return 2.0 ** (-8 * (torch.arange(n_head) + first) / n_head)


def alibi(slope: Tensor, n: int) -> Tensor:
    """[h, n, n]: minus the slope times the distance; hidden where a key is ahead."""
    distance = torch.arange(n)[:, None] - torch.arange(n)
    return (-slope[:, None, None] * distance).masked_fill(distance < 0, float("-inf"))


@misuse("A1", thread="meta-pytorch/attention-gym#86", causal=True)
def alibi_of_wrong_sign(draw: Draw) -> Saved:
    """score + slope * (q_idx - kv_idx), as the tutorial had it; the slopes are saved."""
    q, k, v = draw.heads(7, 7, n_head=4)
    alibi_slopes = slopes(4)

    def score_mod(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return torch.where(i >= j, score + alibi_slopes[h] * (i - j), -float("inf"))

    right = sdpa(q, k, v, attn_mask=alibi(alibi_slopes, 7)[None])
    out = flex_attention(q, k, v, score_mod=score_mod)
    return saved(right, q=q, k=k, v=v, alibi_slopes=alibi_slopes, out=out)


@misuse("A1", thread="meta-pytorch/attention-gym#86", causal=True)
def alibi_of_wrong_sign_with_bias(draw: Draw) -> Saved:
    """The same, and the wanted bias is saved."""
    q, k, v = draw.heads(7, 7, n_head=4)
    distance = torch.arange(7)[:, None] - torch.arange(7)
    bias = -slopes(4)[:, None, None] * distance
    hidden = distance < 0
    right = sdpa(q, k, v, attn_mask=bias.masked_fill(hidden, float("-inf"))[None])
    out = sdpa(q, k, v, attn_mask=(-bias).masked_fill(hidden, float("-inf"))[None])
    return saved(right, q=q, k=k, v=v, attn_bias=bias, out=out)


@misuse("A2", thread="paiml/aprender#2143", causal=True)
def alibi_with_heads_from_zero(draw: Draw) -> Saved:
    """Slopes 2^(-8h/n) with h from 0."""
    q, k, v = draw.heads(7, 7, n_head=4)
    right = sdpa(q, k, v, attn_mask=alibi(slopes(4), 7)[None])
    out = sdpa(q, k, v, attn_mask=alibi(slopes(4, first=0), 7)[None])
    return saved(right, q=q, k=k, v=v, alibi_slopes=slopes(4), out=out)


@misuse("A2", thread="paiml/aprender#2143", causal=True)
def alibi_of_two_series_from_zero(draw: Draw) -> Saved:
    """get_slopes of six heads, whose two series both begin with 2^0."""
    q, k, v = draw.heads(7, 7, n_head=6)
    wanted = torch.cat((slopes(4), slopes(8)[::2]))[:6]
    started = torch.cat((slopes(4, first=0), slopes(8, first=0)[::2]))[:6]
    right = sdpa(q, k, v, attn_mask=alibi(wanted, 7)[None])
    out = sdpa(q, k, v, attn_mask=alibi(started, 7)[None])
    return saved(right, q=q, k=k, v=v, alibi_slopes=wanted, out=out)


def angles(positions: Tensor, d: int, base: float) -> tuple[Tensor, Tensor]:
    """cos and sin, [n, d / 2]"""
    frequency = base ** (-torch.arange(0, d, 2) / d)
    angle = positions[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate_half(x: Tensor, positions: Tensor, base: float = 1e4) -> Tensor:
    """Hugging Face's pairs, (i, i + d/2)."""
    cos, sin = angles(positions, x.shape[-1], base)
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def rotate_interleaved(x: Tensor, positions: Tensor, base: float = 1e4) -> Tensor:
    """Meta's pairs, (2i, 2i + 1)."""
    cos, sin = angles(positions, x.shape[-1], base)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)


@misuse("O1", thread="pytorch/torchtitan#801", causal=True)
def rope_in_other_pairs(draw: Draw) -> Saved:
    """Meta's rotation on a model of Hugging Face; saved before the rotation and as it should be after."""
    q, k, v = draw.heads(7, 7, d=6)
    at = torch.arange(7)
    right = [rotate_half(x, at) for x in (q, k)]
    out = sdpa(*(rotate_interleaved(x, at) for x in (q, k)), v, is_causal=True)
    return saved(
        sdpa(*right, v, is_causal=True),
        q_pre_rope=q, k_pre_rope=k, q=right[0], k=right[1], v=v, out=out,
    )  # fmt: skip


@misuse("O1", thread="huggingface/transformers#25199", causal=True)
def rope_in_other_pairs_before_only(draw: Draw) -> Saved:
    """The same, of which only the arrays before the rotation are saved."""
    q, k, v = draw.heads(7, 7, d=6)
    at = torch.arange(7)
    right = sdpa(rotate_half(q, at), rotate_half(k, at), v, is_causal=True)
    out = sdpa(rotate_interleaved(q, at), rotate_interleaved(k, at), v, is_causal=True)
    return saved(right, q_pre_rope=q, k_pre_rope=k, v=v, out=out)


@misuse("O2", thread="huggingface/candle#3746", causal=True)
def rope_of_default_base(draw: Draw) -> Saved:
    """Base 10 000 where the model has 500 000."""
    q, k, v = draw.heads(7, 7, d=6)
    at = torch.arange(7)
    right = [rotate_half(x, at, 5e5) for x in (q, k)]
    out = sdpa(rotate_half(q, at), rotate_half(k, at), v, is_causal=True)
    return saved(
        sdpa(*right, v, is_causal=True),
        q_pre_rope=q, k_pre_rope=k, q=right[0], k=right[1], v=v, out=out,
    )  # fmt: skip


@misuse("O3", thread="Blaizzy/mlx-vlm#1983")
def rope_without_offset_of_cache(draw: Draw) -> Saved:
    """One query behind 12 cached keys is rotated as if it stood at 0."""
    q, k, v = draw.heads(1, 13, d=6)
    keys = rotate_half(k, torch.arange(13))
    right = rotate_half(q, torch.tensor([12]))
    out = sdpa(rotate_half(q, torch.tensor([0])), keys, v)
    return saved(
        sdpa(right, keys, v), q_pre_rope=q, k_pre_rope=k, q=right, k=keys, v=v, out=out,
    )  # fmt: skip


@misuse("O3", thread="skyzh/tiny-llm#46")
def rope_of_a_new_token_at_zero(draw: Draw) -> Saved:
    """The same with position_ids of each text, [batch, 1], beside the whole cache."""
    q, k, v = draw.heads(1, 13, d=6)
    keys = rotate_half(k, torch.arange(13))
    right = sdpa(rotate_half(q, torch.tensor([12])), keys, v)
    position_ids = torch.full((2, 1), 12)
    out = sdpa(rotate_half(q, torch.tensor([0])), keys, v)
    return saved(right, q_pre_rope=q, k_pre_rope=k, v=v, position_ids=position_ids, out=out)
