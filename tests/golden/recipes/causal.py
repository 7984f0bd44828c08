"""Which keys a query sees by its place: causality, windows, tails; and the softcap."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from .dump import Draw, Saved, misuse, saved, softmax_of
from .masks import merge, module, projected, scores_of, split


def flex(q: Tensor, k: Tensor, v: Tensor, mask_mod: object = None, **options: object) -> Tensor:
    sizes = (q.shape[2], k.shape[2])
    mask = mask_mod and create_block_mask(mask_mod, None, None, *sizes, device="cpu")
    return flex_attention(q, k, v, block_mask=mask, **options)


@misuse("C3", thread="pytorch/pytorch#115111", causal=True, alignment="lower_right")
def causal_upper_left(draw: Draw) -> Saved:
    """is_causal=True with more keys than queries."""
    q, k, v = draw.heads()
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=causal_lower_right(7, 11))
    return saved(right, q=q, k=k, v=v, out=F.scaled_dot_product_attention(q, k, v, is_causal=True))


@misuse("C3", thread="Dao-AILab/flash-attention#282")
def causal_upper_left_with_mask(draw: Draw) -> Saved:
    """is_causal=True in float16; the mask that was wanted is saved."""
    q, k, v = (x.half() for x in draw.heads(11, 17, d=13))
    mask = torch.ones(11, 17, dtype=torch.bool).tril(17 - 11)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return saved(right, query=q, key=k, value=v, attn_mask=mask, attn_output=out)


@misuse("C3", thread="pytorch/pytorch#144858", causal=True, alignment="lower_right")
def causal_at_decoding(draw: Draw) -> Saved:
    """is_causal=True with one query: only the first key is seen."""
    q, k, v = draw.heads(1, 13)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("C3", thread="onnx/onnx#8068", causal=True, alignment="upper_left")
def causal_lower_right_unwanted(draw: Draw) -> Saved:
    """flash-attn's alignment where the specification says upper left."""
    q, k, v = draw.heads()
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=causal_lower_right(7, 11))
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), Q=q, K=k, V=v, Y=out)


@misuse("C1", thread="pbloem/former#10", causal=True)
def causal_without_diagonal(draw: Draw) -> Saved:
    """triu(0) is hidden: the diagonal too; SDPA gives zeros in row 0."""
    q, k, v = draw.heads(7, 7)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(0)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=~hidden)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


@misuse("C1", thread="pytorch/tutorials#2250", causal=True, n_head=3)
def causal_without_diagonal_in_mha(draw: Draw) -> Saved:
    """The same in nn.MultiheadAttention: row 0 is NaN."""
    mha, x = module(draw), draw(2, 7, 15)
    q, k, v = projected(mha, x, x)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(0)
    out = mha(x, x, x, attn_mask=hidden, need_weights=False)[0].detach()
    right = merge(F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=True))
    return saved(right, q=q, k=k, v=v, out=out)


@misuse("C2", thread="RVC-Boss/GPT-SoVITS#965", causal=True)
def causal_one_ahead(draw: Draw) -> Saved:
    """triu(2) is hidden: the next token is seen."""
    q, k, v = draw.heads(7, 7)
    hidden = torch.ones(7, 7).triu(2).bool()
    out = softmax_of(scores_of(q, k).masked_fill(hidden, float("-inf")), v)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


@misuse("C4", "M23", thread="rasbt/LLMs-from-scratch#1061", causal=True)
def causal_backwards(draw: Draw) -> Saved:
    """triu where tril was meant, in flex_attention: q_idx <= kv_idx."""
    q, k, v = draw.heads(7, 7)
    out = flex(q, k, v, lambda b, h, q_idx, kv_idx: q_idx <= kv_idx)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


def windowed(n_q: int, n_k: int, window: int) -> Tensor:
    """True where a key is the query's own or one of the window - 1 before it."""
    distance = torch.arange(n_q)[:, None] + n_k - n_q - torch.arange(n_k)
    return (distance >= 0) & (distance < window)


@misuse("W1", thread="huggingface/transformers#39408", causal=True, window=5)
def window_one_too_long(draw: Draw) -> Saved:
    """flex_attention with q_idx - kv_idx <= W."""
    q, k, v = draw.heads(13, 13)
    out = flex(q, k, v, lambda b, h, i, j: (i >= j) & (i - j <= 5))
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=windowed(13, 13, 5)),
        q=q,
        k=k,
        v=v,
        out=out,
    )


@misuse("W1", thread="microsoft/unilm#1612")
def window_one_too_short(draw: Draw) -> Saved:
    """W - 1 handed to a function that subtracts one itself; the wanted mask is saved."""
    q, k, v = draw.heads(13, 13)
    mask = windowed(13, 13, 5)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=windowed(13, 13, 4))
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("W3", thread="vllm-project/vllm#14896", causal=True, window=5)
def window_dropped(draw: Draw) -> Saved:
    """A local layer computed as a global one, in bfloat16; saved with .float()."""
    q, k, v = (x.bfloat16() for x in draw.heads(13, 13, d=11))
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=windowed(13, 13, 5))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return saved(right, q=q.float(), k=k.float(), v=v.float(), out=out.float())


@misuse("W3", "M6", thread="proger/hippogriff#7", causal=True, window=5)
def window_to_both_sides(draw: Draw) -> Saved:
    """abs(q_idx - kv_idx) < W without causality."""
    q, k, v = draw.heads(13, 13)
    out = flex(q, k, v, lambda b, h, i, j: (i - j).abs() < 5)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=windowed(13, 13, 5)),
        q=q,
        k=k,
        v=v,
        out=out,
    )


@misuse("W3", thread="karpathy/nanochat#456", causal=True, window=5)
def window_ignored_at_decoding(draw: Draw) -> Saved:
    """One query over the whole cache."""
    q, k, v = draw.heads(1, 17)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=windowed(1, 17, 5))
    return saved(right, q=q, k=k, v=v, out=F.scaled_dot_product_attention(q, k, v))


@misuse("T1", thread="hw-native-sys/simpler#72")
def tail_of_zeros_seen(draw: Draw) -> Saved:
    """Keys and values are padded with zeros to a tile of 16, without a mask."""
    q, k, v = draw.heads()
    pad = (0, 0, 0, 16 - k.shape[2])
    out = F.scaled_dot_product_attention(q, F.pad(k, pad), F.pad(v, pad))
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("P1", thread="vllm-project/vllm#7425", softcap=3.0, causal=True)
def softcap_dropped(draw: Draw) -> Saved:
    """SDPA has no softcap."""
    q, k, v = draw.heads(7, 7)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
    right = softmax_of((3 * torch.tanh(scores_of(q, k) / 3)).masked_fill(hidden, float("-inf")), v)
    return saved(right, q=q, k=k, v=v, out=F.scaled_dot_product_attention(q, k, v, is_causal=True))


@misuse("P1", thread="kekzl/imp#688", softcap=50.0)
def softcap_of_fifty_dropped(draw: Draw) -> Saved:
    """Gemma 2's cap of 50 is hardly seen."""
    q, k, v = draw.heads(13, 17)
    right = softmax_of(50 * torch.tanh(scores_of(q, k) / 50), v)
    return saved(right, q=q, k=k, v=v, out=F.scaled_dot_product_attention(q, k, v))


@misuse("P2", thread="onnx/onnx#7867", softcap=3.0, causal=True)
def softcap_after_mask(draw: Draw) -> Saved:
    """A score_mod that hides first and caps then: what is hidden comes back as -3."""
    q, k, v = draw.heads(7, 7)

    def score_mod(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return 3.0 * torch.tanh(torch.where(i >= j, score, -float("inf")) / 3.0)

    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
    right = softmax_of((3 * torch.tanh(scores_of(q, k) / 3)).masked_fill(hidden, float("-inf")), v)
    return saved(right, q=q, k=k, v=v, out=flex(q, k, v, score_mod=score_mod))


@misuse("P3", thread="unslothai/unsloth-zoo#593", softcap=3.0)
def softcap_of_x_times_tanh(draw: Draw) -> Saved:
    """x * tanh(x / c) in a score_mod."""
    q, k, v = draw.heads()
    right = softmax_of(3 * torch.tanh(scores_of(q, k) / 3), v)
    out = flex(q, k, v, score_mod=lambda s, b, h, i, j: s * torch.tanh(s / 3.0))
    return saved(right, q=q, k=k, v=v, out=out)
