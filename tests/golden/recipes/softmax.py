"""The softmax over another axis, over too much, or put together wrongly from parts."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .dump import Draw, Saved, misuse, saved


@misuse("X1", thread="labmlai/annotated_deep_learning_paper_implementations#146")
def softmax_over_queries(draw: Draw) -> Saved:
    """dim=1 of scores [b, i, j, h], as `softmax(dim=1)` in the annotated diffusion model."""
    q, k, v = (x.transpose(1, 2).contiguous() for x in draw.heads())
    attn = torch.einsum("bihd,bjhd->bijh", q, k) * q.shape[-1] ** -0.5
    out = torch.einsum("bijh,bjhd->bihd", attn.softmax(dim=1), v)
    right = torch.einsum("bijh,bjhd->bihd", attn.softmax(dim=2), v)
    return saved(right, q=q, k=k, v=v, out=out)


@misuse("X1", thread="FudanNLP/fastNLP#254")
def softmax_dim_minus_two(draw: Draw) -> Saved:
    """softmax(dim=-2)."""
    q, k, v = draw.heads()
    attn = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-2)
    return saved(
        F.scaled_dot_product_attention(q, k, v),
        q=q,
        k=k,
        v=v,
        attn_weights=attn,
        attn_output=attn @ v,
    )


@misuse("X2", thread="PetrochukM/PyTorch-NLP#2")
def softmax_over_batch(draw: Draw) -> Saved:
    """dim=0."""
    q, k, v = draw.heads()
    out = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=0) @ v
    return saved(F.scaled_dot_product_attention(q, k, v), query=q, key=k, value=v, out=out)


@misuse("X3", thread="facebookresearch/detr#247")
def softmax_over_heads_and_keys(draw: Draw) -> Saved:
    """DETR: weights [b, q, h, k], softmax over flatten(2)."""
    q, k, v = draw.heads()
    scores = torch.einsum("bhqd,bhkd->bqhk", q * q.shape[-1] ** -0.5, k)
    attn = F.softmax(scores.flatten(2), dim=-1).view_as(scores)
    out = torch.einsum("bqhk,bhkd->bhqd", attn, v)
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("X3", thread="facebookresearch/detr#247", causal=True)
def softmax_over_heads(draw: Draw) -> Saved:
    """dim=1 where heads are the second axis, after a causal mask."""
    q, k, v = draw.heads(7, 7)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hidden, -1e9)
    out = torch.softmax(scores, dim=1) @ v
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


@misuse(
    "X5",
    thread="kyegomez/AttentionIsOFFByOne#5",
)
def softmax_one_shifted(draw: Draw) -> Saved:
    """softmax_one with 1 + sum after the maximum was subtracted; sinks of 0 were wanted."""
    q, k, v = draw.heads()
    scores = q @ k.mT / q.shape[-1] ** 0.5
    sinks = torch.zeros(3)
    e = torch.exp(scores - scores.amax(-1, keepdim=True))
    out = (e / (1 + e.sum(-1, keepdim=True))) @ v
    right = (scores.exp() / (1 + scores.exp().sum(-1, keepdim=True))) @ v
    return saved(right, q=q, k=k, v=v, sinks=sinks, out=out)


@misuse("X6", thread="vllm-project/vllm-metal#550")
def sinks_ignored(draw: Draw) -> Saved:
    """gpt-oss's sinks do not reach the kernel."""
    q, k, v = draw.heads()
    sinks = draw(3)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    column = sinks.view(1, 3, 1, 1).expand(2, 3, 7, 1)
    right = torch.softmax(torch.cat((scores, column), -1), -1)[..., :-1] @ v
    return saved(right, q=q, k=k, v=v, sinks=sinks, out=F.scaled_dot_product_attention(q, k, v))


@misuse("X7", thread="Dao-AILab/flash-attention#991")
def online_softmax_never_rescaled(draw: Draw) -> Saved:
    """Blocks of 4 keys; what was summed is not multiplied by exp(m_old - m_new)."""
    q, k, v = draw.heads()
    scores = q @ k.mT / q.shape[-1] ** 0.5
    m = torch.full(scores.shape[:-1], float("-inf"))
    total, acc = torch.zeros_like(m), torch.zeros_like(q)
    for at in range(0, k.shape[2], 4):
        block = scores[..., at : at + 4]
        m = torch.maximum(m, block.amax(-1))
        p = torch.exp(block - m[..., None])
        total = total + p.sum(-1)
        acc = acc + p @ v[..., at : at + 4, :]
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=acc / total[..., None])


@misuse("X8", thread="vllm-project/vllm#39148")
def splits_merged_without_lse(draw: Draw) -> Saved:
    """Two halves of the keys, whose outputs are averaged."""
    q, k, v = draw.heads(n_k=22)
    halves = [
        F.scaled_dot_product_attention(q, a, b)
        for a, b in zip(k.chunk(2, 2), v.chunk(2, 2), strict=True)
    ]
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=sum(halves) / 2)


@misuse("X11")
def sigmoid_for_softmax(draw: Draw) -> Saved:
    """sigmoid(scores) v."""
    q, k, v = draw.heads()
    out = torch.sigmoid(q @ k.mT / q.shape[-1] ** 0.5) @ v
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)


@misuse("X4", thread="pytorch/executorch#18407")
def softmax_overflows(draw: Draw) -> Saved:
    """exp without the maximum subtracted; some scores exceed 88.7."""
    q, k, v = draw.heads()
    q = q * 25
    e = torch.exp(q @ k.mT / q.shape[-1] ** 0.5)
    out = (e / e.sum(-1, keepdim=True)) @ v
    return saved(F.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v, out=out)
